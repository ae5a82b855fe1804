"""Where the store is: embedded in this process, or a ClickHouse server. Parsed from the setting `store.url`.

`ingest.spool.settings` validates with it, `ingest.store.engine` connects with it. The trap: a password may be
part of the address, so the address itself is never logged; `str()` of a target leaves the password out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

DATABASE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")
DEFAULT_DATABASE = "lowtide"
_PORTS = {"clickhouse": 8123, "clickhouses": 8443}


@dataclass(frozen=True, slots=True)
class Embedded:
    """The engine inside this process; it owns `directory`."""

    directory: Path
    database: str = DEFAULT_DATABASE

    def __str__(self) -> str:
        return f"embedded at {self.directory}"


@dataclass(frozen=True, slots=True)
class Server:
    """A ClickHouse server, asked over HTTP(S)."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    database: str
    secure: bool

    def __str__(self) -> str:
        scheme = "clickhouses" if self.secure else "clickhouse"
        return f"{scheme}://{self.username}@{self.host}:{self.port}/{self.database}"


Target = Embedded | Server


def parse_target(url: str, directory: Path) -> Target:
    """`embedded`, or `clickhouse://user:password@host:port/database` (`clickhouses://` for TLS).

    `directory` is where the embedded engine keeps its files. Raises ValueError that says what is wrong
    without repeating the address.
    """
    if url == "embedded":
        return Embedded(directory)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Its words repeat what it cannot read, which may be a password.
        raise ValueError(
            "the address of the store cannot be read: a port is a number, and in names and passwords write"
            " @ as %40, / as %2F and : as %3A"
        ) from None
    if parts.scheme not in _PORTS:
        raise ValueError("a store is `embedded` or clickhouse://user@host:port/database")
    if not parts.hostname:
        raise ValueError("the address of the store names no host: clickhouse://user@host:port/database")
    if parts.query or parts.fragment:
        raise ValueError("the address of the store takes no options after ? or #")
    database = unquote(parts.path.strip("/")) or DEFAULT_DATABASE
    if not DATABASE_NAME.match(database):
        raise ValueError("the database's name in the address is letters, digits and _ only")
    return Server(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=database,
        secure=parts.scheme == "clickhouses",
    )
