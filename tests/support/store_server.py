"""A stand-in for a ClickHouse server: its HTTP protocol over a chDB engine in a process of its own, opened
for reading and writing. For tests only.

    python -m support.store_server --path DIR [--port N]

prints `{"port": ...}` on stdout once it answers, on loopback only, and ends by SIGTERM;
`support.store_server_process` starts and stops it. What Lowtide takes for granted about a server, and this
must do like one, is in `tests/ingest/store/test_server_contract.py`.

The trap: it is the same engine as the embedded one. It shows that Lowtide's way over HTTP is right; it shows
nothing about replicas, grants, quotas, TLS or an older server.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.sql.encodings import choose_encoding, compressed, decompressed
from api.sql.errors import SqlError
from api.sql.formats import CONTENT_TYPES
from api.sql.statuses import http_status
from support.store_server_engine import Answer, Asked, StoreEngine
from support.store_server_process import PASSWORD, USER

_GIB: Final = 1 << 30
_NO_SETTINGS: Final = frozenset({
    "query", "database", "default_format", "user", "password", "query_id", "quota_key", "stacktrace", "role",
    "buffer_size", "wait_end_of_query", "session_id", "session_timeout", "session_check", "close_session",
    "client_protocol_version", "compress", "decompress",
})  # fmt: skip
"""Parameters of the protocol; every other one but `param_*` is a setting."""
_NOT_OFFERED: Final = ("session_id", "compress", "decompress", "role", "quota_key")
_STATUSES: Final = {76: 503, 192: 403, 193: 403, 194: 401, 202: 500, 210: 500, 516: 403, 1002: 500}
"""Where a server's status differs from the one that `/sql` gives, which has no users and may say "busy"."""
_FULL_TEXT: Final = "text/plain; charset=UTF-8"


class StandIn:
    """The endpoint. One thread for each request at work."""

    def __init__(self, engine: StoreEngine, user: str, password: str) -> None:
        self._engine = engine
        self._user = user
        self._password = password

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/ping", _ok, methods=["GET", "HEAD"]),
                Route("/", self._answer, methods=["GET", "HEAD", "POST"]),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST" and "query" not in request.query_params:
            return await _ok(request)
        body = await request.body()
        return await run_in_threadpool(self._respond, request, body)

    def _respond(self, request: Request, body: bytes) -> Response:
        url = dict(request.query_params)
        headers = {
            "X-ClickHouse-Query-Id": url.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Server-Display-Name": "stand-in",
            "X-ClickHouse-Timezone": self._engine.time_zone,
        }
        began = time.monotonic_ns()
        try:
            self._check_user(request.headers, url)
            answer = self._engine.run(_read(request, url, body))
        except SqlError as error:
            return self._failure(error, headers, url, time.monotonic_ns() - began)
        summary = dict(answer.summary) | {"elapsed_ns": time.monotonic_ns() - began}
        headers["X-ClickHouse-Summary"] = json.dumps({name: str(value) for name, value in summary.items()})
        return _success(answer, headers, url, request.headers.get("accept-encoding", ""))

    def _check_user(self, headers: Mapping[str, str], url: Mapping[str, str]) -> None:
        """Raises SqlError (516), in the same words for a wrong password and for a user that is none."""
        user, password = _credentials(headers, url)
        known = secrets.compare_digest(user.encode(), self._user.encode())
        if not (secrets.compare_digest(password.encode(), self._password.encode()) and known):
            raise SqlError(
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
                516,
                "AUTHENTICATION_FAILED",
            )

    def _failure(
        self, error: SqlError, headers: dict[str, str], url: Mapping[str, str], elapsed_ns: int
    ) -> Response:
        """The code in a header, the text as the body. A server that has sent progress meanwhile cannot take
        its status back: then only the header tells.
        """
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        status = _STATUSES.get(error.code) or http_status(error.code)
        interval_ns = int(url.get("http_headers_progress_interval_ms", "100")) * 1_000_000
        if url.get("send_progress_in_http_headers") == "1" and elapsed_ns > interval_ns:
            headers["X-ClickHouse-Progress"] = json.dumps({"elapsed_ns": str(elapsed_ns)})
            status = 200
        text = f"{error.body().rstrip()} (version {self._engine.version} (official build))\n"
        return Response(text, status_code=status, headers=headers, media_type=_FULL_TEXT)


async def _ok(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")


def _credentials(headers: Mapping[str, str], url: Mapping[str, str]) -> tuple[str, str]:
    """User and password: from headers of ClickHouse's, by Basic, or from the URL; from one of them only."""
    basic = headers.get("authorization", "")
    own = "x-clickhouse-user" in headers or "x-clickhouse-key" in headers
    if sum((bool(basic), own, "user" in url or "password" in url)) > 1:
        raise SqlError("Invalid authentication: more than one way at a time", 516, "AUTHENTICATION_FAILED")
    if own:
        user, password = headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
        # The framework reads headers as Latin-1, whatever they are.
        return user.encode("latin-1").decode(), password.encode("latin-1").decode()
    if not basic:
        return url.get("user", "default"), url.get("password", "")
    scheme, _, encoded = basic.partition(" ")
    with suppress(binascii.Error, UnicodeDecodeError):
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        if scheme.lower() == "basic" and colon:
            return user, password
    raise SqlError("Invalid authentication: this Authorization is not taken", 516, "AUTHENTICATION_FAILED")


def _read(request: Request, url: dict[str, str], body: bytes) -> Asked:
    """What is asked. Raises SqlError."""
    refused = [name for name in _NOT_OFFERED if url.get(name, "0") not in ("", "0")]
    if refused:
        raise SqlError(f"{refused[0]} is not offered by the stand-in", 48, "NOT_IMPLEMENTED")
    body = decompressed(body, request.headers.get("content-encoding", "").strip().lower(), _GIB)
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        url, body = url | dict(_form(body, content_type)), b""
    head = url.get("query", "")
    revision = url.get("client_protocol_version", "0")
    return Asked(
        text=head.encode() + b"\n" + body if head and body else head.encode() or body,
        database=url.get("database") or request.headers.get("x-clickhouse-database") or "default",
        settings={n: v for n, v in url.items() if n not in _NO_SETTINGS and not n.startswith("param_")},
        params={n[6:]: v for n, v in url.items() if n.startswith("param_")},
        default_format=(
            url.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated"
        ),
        revision=int(revision) if re.fullmatch(r"\d{1,9}", revision) else 0,
        read_only=request.method != "POST",
    )


def _form(body: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        yield str(part.get_param("name", header="content-disposition")), payload.decode()


def _success(answer: Answer, headers: dict[str, str], url: Mapping[str, str], accept: str) -> Response:
    if answer.format is None:
        return Response(answer.body, headers=headers, media_type=_FULL_TEXT)
    headers["X-ClickHouse-Format"] = answer.format
    body = answer.body
    encoding = choose_encoding(accept) if url.get("enable_http_compression") == "1" else None
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        body = b"".join(compressed(body, encoding))
    media_type = CONTENT_TYPES.get(answer.format, "application/octet-stream")
    return Response(body, headers=headers, media_type=media_type)


def _end_with_parent() -> None:
    """stdin is a pipe whose other end the parent holds, so it ends when the parent does, however that is."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A stand-in for a ClickHouse server, for tests.")
    parser.add_argument("--path", type=Path, required=True, help="directory of the engine")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--user", default=USER)
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin does")
    given = parser.parse_args(arguments)

    given.path.mkdir(parents=True, exist_ok=True)
    os.chdir(given.path)  # the engine keeps schemas that come as text in the working directory
    engine = StoreEngine(given.path / "engine")
    if given.end_with_stdin:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    app: Any = StandIn(engine, given.user, given.password).app()
    with socket.create_server(("127.0.0.1", given.port)) as listening:
        config = uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=5)
        port = listening.getsockname()[1]
        print(json.dumps({"port": port}), flush=True)  # noqa: T201 - how the parent learns it
        uvicorn.Server(config).run(sockets=[listening])
    engine.close()


if __name__ == "__main__":
    main()
