"""Reads a statement, its parameters and the wanted format out of an HTTP request as ClickHouse's clients send
it. Called by the router.

The statement is the URL's `query`, the body, or both in that order. A multipart form carries `query` and
`param_*` when they are too long for the URL. Everything else in the URL would be a setting on a ClickHouse
server; here it is ignored, and its name given back so that the answer can say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final

from api.sql.errors import SqlRequestError
from api.sql.formats import DEFAULT_FORMAT

_PARAMETER: Final = re.compile(r"param_([A-Za-z_][A-Za-z0-9_]{0,127})")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
_QUERY_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_TRANSPORT: Final = frozenset({
    "query", "database", "default_format", "user", "password", "query_id", "quota_key", "session_id",
    "session_timeout", "session_check", "wait_end_of_query", "buffer_size", "client_protocol_version", "role",
    "enable_http_compression", "compress", "decompress", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close", "readonly",
})  # fmt: skip
"""What is no setting, or one that has no meaning for an answer that comes whole."""
_MAX_PARTS: Final = 1000


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """One statement as it was asked. `protocol` is the revision of Native that the client reads, 0 if it did
    not say; `ignored` are the settings in the URL, by name.
    """

    statement: str
    params: dict[str, str]
    format: str
    query_id: str | None
    compression_allowed: bool
    protocol: int
    ignored: tuple[str, ...] = field(default=())


def read_request(
    url: Mapping[str, str], headers: Mapping[str, str], body: bytes, *, database: str
) -> SqlRequest:
    """The request's meaning. `headers` are looked up by lower-case name; `database` is Lowtide's.

    Raises SqlRequestError.
    """
    values = dict(url)
    content_type = headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        values |= dict(_form(body, content_type))
        body = b""
    for name in ("compress", "decompress"):
        if values.get(name, "0") not in ("0", "false"):
            raise SqlRequestError(
                f"{name}=1, ClickHouse's own framing, is not offered; Accept-Encoding is",
                48,
                "NOT_IMPLEMENTED",
            )
    asked = values.get("database") or headers.get("x-clickhouse-database") or database
    if asked not in (database, "default"):
        raise SqlRequestError(
            f"Database {asked[:64]} cannot be chosen here; it is {database}", 81, "UNKNOWN_DATABASE"
        )
    query_id = values.get("query_id", "")
    protocol = values.get("client_protocol_version", "")
    return SqlRequest(
        statement=_statement(values.get("query", ""), body),
        params={found[1]: value for name, value in values.items() if (found := _PARAMETER.fullmatch(name))},
        format=values.get("default_format") or headers.get("x-clickhouse-format") or DEFAULT_FORMAT,
        query_id=query_id if _QUERY_ID.fullmatch(query_id) else None,
        compression_allowed=values.get("enable_http_compression", "1") not in ("0", "false"),
        protocol=int(protocol) if _NUMBER.fullmatch(protocol) else 0,
        ignored=tuple(sorted(name for name in values if _is_setting(name))),
    )


def _is_setting(name: str) -> bool:
    return name not in _TRANSPORT and not name.startswith("param_") and _NAME.fullmatch(name) is not None


def _statement(query: str, body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SqlRequestError("The statement is not UTF-8", 62, "SYNTAX_ERROR") from error
    return "\n".join(part for part in (query, text) if part.strip())


def _form(body: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise SqlRequestError("The form has no parts", 36, "BAD_ARGUMENTS")
    for count, part in enumerate(message.iter_parts()):
        name = part.get_param("name", header="content-disposition")
        if count >= _MAX_PARTS or not isinstance(name, str):
            raise SqlRequestError("The form cannot be read", 36, "BAD_ARGUMENTS")
        if part.get_filename() is not None:
            raise SqlRequestError(
                "External data is not taken: this endpoint only reads", 48, "NOT_IMPLEMENTED"
            )
        payload = part.get_payload(decode=True)
        try:
            yield name, payload.decode("utf-8") if isinstance(payload, bytes) else ""
        except UnicodeDecodeError as error:
            raise SqlRequestError(f"{name[:64]} is not UTF-8", 36, "BAD_ARGUMENTS") from error
