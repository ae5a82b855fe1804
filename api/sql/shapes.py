"""The statements other than SELECT that are answered: SHOW, DESCRIBE and EXISTS in a few shapes. Called by
the guard with a normalised statement; what comes back is a statement of our own about tables that are
allowed.

The trap: nothing of the client's text is kept but a quoted pattern, a number, and names that have been
checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from api.sql.errors import SqlRefusedError
from api.sql.lists import FOREIGN_TABLES

_NAME: Final = r"(?:[A-Za-z_][A-Za-z0-9_]*|`[A-Za-z_][A-Za-z0-9_]*`)"
_TABLE: Final = rf"(?:(?P<database>{_NAME})\.)?(?P<table>{_NAME})"
_PATTERN: Final = r"(?P<like> (?:NOT )?I?LIKE '(?:[^'\\]|\\.|'')*')?(?P<limit> LIMIT \d{1,9})?"
_GREETINGS: Final = {
    # What clients written in Go and in Java send first. The machine's name and Lowtide's own user stay
    # private.
    "SELECT displayName(), version(), revision(), timezone()": "SELECT 'lowtide' AS `displayName()`, "
    "version(), revision(), timezone()",
    "SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1": (
        "SELECT 'lowtide' AS user, timezone() AS timezone, version() AS version"
    ),
}


def greeting(statement: str) -> str:
    """The statement, or for one that some client's first request consists of, what we answer instead."""
    return _GREETINGS.get(statement, statement)


def rewrite(statement: str, own: str) -> str:
    """Our statement for a normalised SHOW, DESCRIBE or EXISTS; `own` is Lowtide's database.

    Raises SqlRefusedError for everything else.
    """
    for shape, build in _SHAPES:
        if (found := shape.fullmatch(statement)) is not None:
            return build(found, own)
    verb = statement.partition(" ")[0][:32]
    raise SqlRefusedError(
        f"{verb} in this form is not answered here: this endpoint only reads. It takes SELECT, SHOW "
        "DATABASES, SHOW TABLES [FROM database], SHOW CREATE TABLE, DESCRIBE and EXISTS"
    )


def foreign_tables(database: str) -> list[str]:
    """The tables of another database that may be read, by name."""
    return sorted(name.partition(".")[2] for name in FOREIGN_TABLES if name.startswith(f"{database}."))


def _plain(name: str | None, otherwise: str) -> str:
    return otherwise if name is None else name.strip("`")


def _qualified(found: re.Match[str], own: str) -> str:
    database, table = _plain(found["database"], own), found["table"].strip("`")
    if database != own and f"{database}.{table}" not in FOREIGN_TABLES:
        raise SqlRefusedError(f"The table {database}.{table} may not be read here; tables of {own} may")
    return f"`{database}`.`{table}`"


def _names(found: re.Match[str]) -> str:
    like = f" AND name{found['like']}" if found["like"] else ""
    return f"{like} ORDER BY name{found['limit'] or ''}"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _show_databases(found: re.Match[str], own: str) -> str:
    readable = sorted({own, *(name.partition(".")[0] for name in FOREIGN_TABLES)})
    return f"SELECT name FROM system.databases WHERE name IN ({_quoted(readable)}){_names(found)}"  # noqa: S608 - checked names


def _show_tables(found: re.Match[str], own: str) -> str:
    database = _plain(found["database"], own)
    where = f"database = '{database}'"
    if database != own:
        readable = foreign_tables(database)
        if not readable:
            raise SqlRefusedError(f"The database {database} may not be read here; {own} may")
        where += f" AND name IN ({_quoted(readable)})"
    return f"SELECT name FROM system.tables WHERE {where}{_names(found)}"  # noqa: S608 - checked names


def _show_create(found: re.Match[str], own: str) -> str:
    return f"SHOW CREATE TABLE {_qualified(found, own)}"


def _describe(found: re.Match[str], own: str) -> str:
    return f"DESCRIBE TABLE {_qualified(found, own)}"


def _exists(found: re.Match[str], own: str) -> str:
    return f"EXISTS {found['kind']} {_qualified(found, own)}"


def _exists_database(found: re.Match[str], own: str) -> str:
    database = found["database"].strip("`")
    return f"SELECT toUInt8({int(database == own or bool(foreign_tables(database)))}) AS result"


_SHAPES: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str], str], str]], ...]] = tuple(
    (re.compile(pattern), build)
    for pattern, build in (
        (rf"SHOW DATABASES{_PATTERN}", _show_databases),
        (rf"SHOW TABLES(?: FROM (?P<database>{_NAME}))?{_PATTERN}", _show_tables),
        (rf"SHOW CREATE (?:TABLE|VIEW) {_TABLE}", _show_create),
        (rf"DESCRIBE TABLE {_TABLE}", _describe),
        (rf"EXISTS (?P<kind>TABLE|VIEW) {_TABLE}", _exists),
        (rf"EXISTS DATABASE (?P<database>{_NAME})", _exists_database),
    )
)
