"""Statements as a ClickHouse server runs them, on a chDB engine in this process. `support.store_server`
puts HTTP in front of it. For tests only.

A server's HTTP request without a session knows nothing of the one before: database and settings hold for one
statement. So each statement gets a handle of its own on the engine, which takes a few milliseconds.

The trap: the engine behaves as a command-line client in some ways. It runs several statements at once,
always writes Native in the oldest revision, and takes data for an insert from a file; it takes a stream of
it as well, but then says nothing of a view that fails. What a server does differently is made up for here.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import chdb

from api.sql.errors import SqlError, engine_error
from api.sql.native import REVISION, in_revision
from ingest.store.errors import StoreRefusedError

_SELECTS: Final = frozenset({"SELECT", "WITH", "("})
_SMALL_RESULTS: Final = frozenset({"SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK"})
"""First words of the statements that answer with rows."""
_TOKEN: Final = re.compile(
    rb"""
    '(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*"  # text and quoted names
    | --[^\n]* | /\*.*?\*/  # comments
    | \w+ | [^\w\s]
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_DATA: Final = re.compile(rb"[ \t\f]*\r?\n?")
_FORMAT_AT_END: Final = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[^;]*)?;?\s*$", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)\. DB::Exception: ", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_BLOCK_INFO: Final = bytes((1, 0, 2, 255, 255, 255, 255, 0))
"""Not aggregated, no bucket: what stands before each Native block for a client that states a revision."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `text` is the statement with an insert's data behind it; `revision` is the protocol's that
    the client reads, 0 if it did not say; a `read_only` request came by GET.
    """

    text: bytes
    database: str
    settings: Mapping[str, str]
    params: Mapping[str, str]
    default_format: str
    revision: int
    read_only: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """`format` is None for a statement that has no rows to answer with."""

    body: bytes = b""
    format: str | None = None
    summary: Mapping[str, int] = field(default_factory=dict)


class StoreEngine:
    """The engine of this process. Any number of threads may run statements on it at once."""

    def __init__(self, directory: Path) -> None:
        self._path = str(directory)
        self._data = directory.parent / "inserts"
        """What is being inserted, a file for each insert."""
        self._data.mkdir(exist_ok=True)
        self._first = chdb.connect(self._path)
        self.version, self.time_zone = self._greeting()

    def _greeting(self) -> tuple[str, str]:
        version, time_zone = self._first.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        return version, time_zone

    def run(self, asked: Asked) -> Answer:
        """Run one statement. Raises SqlError, with the server's code."""
        handle = chdb.connect(self._path)
        try:
            _prepare(handle, asked)
            insert = _insert_with_data(asked.text)
            if insert is not None:
                return self._insert(handle, *insert)
            return self._statement(handle, asked)
        except RuntimeError as error:
            raise _as_sql_error(error) from error
        finally:
            handle.close()

    def _statement(self, handle: Any, asked: Asked) -> Answer:
        text = asked.text.decode()
        self._check_single(text, asked.params)
        verb = _verb(asked.text)
        if verb not in _SELECTS | _SMALL_RESULTS:
            done = handle.query(text, "TabSeparated", params=dict(asked.params))
            return Answer(summary=_summary(done))
        found = _FORMAT_AT_END.search(text)
        fmt = found[1] if found else asked.default_format
        with_info = fmt == "Native" and 0 < asked.revision < REVISION
        if with_info and verb in _SELECTS:
            return Answer(b"".join(_blocks(handle, text, asked.params)), fmt)
        done = handle.query(text, fmt, params=dict(asked.params))
        body = done.bytes() or b""
        if with_info and body:
            body = _BLOCK_INFO + body  # these come in one block
        return Answer(in_revision(body, asked.revision) if fmt == "Native" else body, fmt, _summary(done))

    def _insert(self, handle: Any, into: str, rest: str, data: bytes) -> Answer:
        with tempfile.NamedTemporaryFile(dir=self._data, suffix=".raw") as file:
            file.write(data)
            file.flush()
            named = f"FROM INFILE {_quoted(file.name, chr(39))} COMPRESSION 'none'"
            done = handle.query(f"{into} {named} {rest}", "TabSeparated")
        return Answer(summary=_summary(done))

    def _check_single(self, text: str, params: Mapping[str, str]) -> None:
        """A server takes one statement. Raises SqlError (62) for several; what is no statement at all passes,
        since the engine says better what is wrong with it.
        """
        if ";" not in text.rstrip().removesuffix(";"):
            return
        handle = chdb.connect(self._path)
        try:
            ask = "SELECT isNull(formatQuerySingleLineOrNull({text:String}))"
            escaped = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
            if handle.query(ask, "TSV", params={"text": escaped}).bytes().strip() == b"1":
                raise SqlError("Syntax error (Multi-statements are not allowed)", 62, "SYNTAX_ERROR")
        finally:
            handle.close()

    def close(self) -> None:
        """The engine ends with its last handle."""
        self._first.close()


def _prepare(handle: Any, asked: Asked) -> None:
    """The request's database and settings; read-only comes last, since it ends all changing."""
    handle.query(f"USE {_quoted(asked.database, '`')}")
    last = {"readonly": asked.settings["readonly"]} if "readonly" in asked.settings else {}
    if asked.read_only and last.get("readonly", "0") == "0":
        last = {"readonly": "2"}
    for name, value in {**{k: v for k, v in asked.settings.items() if k != "readonly"}, **last}.items():
        if not _NAME.fullmatch(name):
            raise SqlError(f"Unknown setting '{name[:64]}'", 115, "UNKNOWN_SETTING")
        handle.query(f"SET {name} = {_quoted(value, chr(39))}")


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def _insert_with_data(text: bytes) -> tuple[str, str, bytes] | None:
    """An insert whose data comes behind it: the statement up to where a file is named, the rest of it, the
    data. None for any other statement.
    """
    words: list[bytes] = []
    named = begun = 0
    for token in _TOKEN.finditer(text):
        word = token[0].upper()
        if word.startswith((b"--", b"/*")):
            continue
        if not words and word != b"INSERT":
            return None
        if word in (b"SELECT", b"WITH", b"VALUES"):
            return None
        if words and words[-1] == b"FORMAT":
            data = _BEFORE_DATA.match(text, token.end())
            assert data is not None
            named = named or begun
            return text[:named].decode(), text[named : token.end()].decode(), text[data.end() :]
        if word == b"SETTINGS":
            named = token.start()
        begun = token.start()
        words.append(word)
    return None


def _verb(text: bytes) -> str:
    """The statement's first word, in upper case."""
    words = (token[0] for token in _TOKEN.finditer(text))
    return next((word.decode().upper() for word in words if not word.startswith((b"--", b"/*"))), "")


def _blocks(handle: Any, text: str, params: Mapping[str, str]) -> Iterator[bytes]:
    """A Native answer, whose pieces from the engine are its blocks, with its info before each."""
    with handle.send_query(text, "Native", params=dict(params)) as stream:
        for piece in stream:
            if block := piece.bytes():
                yield _BLOCK_INFO
                yield block


def _summary(done: Any) -> dict[str, int]:
    return {
        "read_rows": done.storage_rows_read(),
        "read_bytes": done.storage_bytes_read(),
        "written_rows": done.rows_written(),
        "written_bytes": done.bytes_written(),
        "result_rows": done.rows_read(),
        "result_bytes": done.size(),
    }


def _as_sql_error(error: RuntimeError) -> SqlError:
    """The engine's error without what chDB says around it. What has no code is a fault, not an answer."""
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        raise error
    return engine_error(StoreRefusedError(text[found.start() :], int(found[1])))
