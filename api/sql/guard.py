"""Decides whether a statement from outside may run, and how. Called by `api.sql.service` with a handle that
is already limited and read-only.

The engine's own `readonly=1` is the last line and not enough: in the embedded engine functions such as
`file()` read whatever the process may read, and a SETTINGS clause inside a subquery is obeyed. So the
statement is normalised by the engine (which proves that it is exactly one), put into `SELECT * FROM (...)`
(which proves that it only reads), and explained twice without being analysed: the syntax tree shows every
clause, the query tree what transformers such as APPLY hide. Every function, table function and table named in
either must be on a list.

The traps: the explanations must not resolve anything (`run_passes = 0`), since analysing already calls
constant functions and scalar subqueries. A bare name beside a function that takes a lambda may be a function
too. And names are printed unquoted, so each pattern below takes every occurrence: a name that imitates the
output can only add to what is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from api.sql.dictionaries import Explained
from api.sql.errors import SYNTAX_ERROR, SqlRefusedError, SqlRequestError, engine_error
from api.sql.formats import known_format
from api.sql.lists import FOREIGN_TABLES, HIGHER_ORDER, TABLE_FUNCTIONS, is_allowed_function, reason_against
from api.sql.shapes import greeting, rewrite
from api.sql.tenants import check_confined
from ingest.store.engine import Session
from ingest.store.errors import StoreError, StoreRefusedError
from ingest.store.sql import load_sql

_TRAILING_FORMAT: Final = re.compile(r"\s+FORMAT\s+(\w+)$")
_OUTFILE: Final = re.compile(r"\sINTO OUTFILE\s")
_READS: Final = ("SELECT ", "WITH ", "(")
_DESCRIBE_QUERY: Final = re.compile(r"DESCRIBE TABLE \((.*)\)", re.DOTALL)
_PLACEHOLDER: Final = re.compile(r"\{(\w+):[^}]+\}")
_CALLED: Final = re.compile(r"^ *Function (\S+)", re.MULTILINE)
_TABLE_FUNCTION_CALLED: Final = re.compile(r"^ *TableExpression[^\n]*\n *Function (\S+)", re.MULTILINE)
_SET: Final = re.compile(r"^ *(?:Set$|SETTINGS )", re.MULTILINE)
_TABLE_READ: Final = re.compile(r"^ *TableIdentifier ([^\n]*?)(?: \(alias .*)?$", re.MULTILINE)
_TABLE_NAMED: Final = re.compile(r"^ *(?:Table)?Identifier ([^\n]*?)(?: \(alias .*)?$", re.MULTILINE)
_CALLED_IN_TREE: Final = re.compile(r"(?<!table_)function_name: ([^,\n]*)")
_TABLE_FUNCTION: Final = re.compile(r"table_function_name: ([^,\n]*)")
_IDENTIFIER: Final = re.compile(r"\bidentifier: ([^,\n]*)")
_SHOWN_CHARACTERS: Final = 64
_OPEN_TABLES: Final = "Lowtide's own database and the lists of what is in it"


class Raw:
    """A parameter's value as it came over HTTP: already escaped, so the driver must leave it alone.

    The driver escapes strings and sends everything else as `str()` gives it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True, slots=True)
class Approved:
    """A statement that may run. `format` is the one its FORMAT clause named, if any."""

    sql: str
    params: dict[str, Raw]
    format: str | None


def approve(
    session: Session, statement: str, params: Mapping[str, str], own: str, *, confined: bool = False
) -> Approved:
    """What may run for a statement. `params` are values by name, escaped as HTTP carries them; `own` is
    Lowtide's database. `confined`: the handle sees one tenant only (`api.sql.tenants`).

    Raises SqlRefusedError, SqlRequestError for what is no statement, SqlEngineError if the engine cannot
    explain it.
    """
    normal, databases = _normalised(session, statement)
    body, fmt = _split_format(normal)
    body = greeting(body)
    if _OUTFILE.search(_without_literals(body)):
        raise SqlRefusedError("INTO OUTFILE is refused: this endpoint writes no files")
    raw = {name: Raw(value) for name, value in params.items()}
    described = _DESCRIBE_QUERY.fullmatch(body)
    query = described[1] if described else body
    if not query.startswith(_READS):
        return Approved(rewrite(body, own), {}, fmt)
    wrapped = f"SELECT * FROM (\n{query}\n)"  # noqa: S608 - the statement is the client's; that is why it is checked
    bound = _bound(wrapped, raw)
    _check(session, wrapped, bound, own, frozenset(databases) - {own}, confined=confined)
    return Approved(f"DESCRIBE TABLE (\n{wrapped}\n)" if described else wrapped, bound, fmt)


def _normalised(session: Session, statement: str) -> tuple[str, list[str]]:
    """The statement in one line, and the names of all databases."""
    try:
        normal, databases = session.rows(load_sql("api", "normalise"), {"statement": statement})[0]
        if normal is not None:
            return str(normal), list(databases)
        session.rows(load_sql("api", "parse"), {"statement": statement})
    except StoreRefusedError as error:
        found = engine_error(error)
        message = str(found).partition(": In scope ")[0].rstrip(" .:")
        raise SqlRequestError(message, found.code, found.name) from error
    except StoreError as error:
        raise engine_error(error) from error
    raise SqlRequestError("this is not exactly one statement", SYNTAX_ERROR, "SYNTAX_ERROR")


def _split_format(normal: str) -> tuple[str, str | None]:
    found = _TRAILING_FORMAT.search(normal)
    if found is None:
        return normal, None
    return normal[: found.start()], known_format(found[1])


def _without_literals(statement: str) -> str:
    """The statement without what stands in quotes; normalised, a quote inside is always escaped."""
    return re.sub(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`", "''", statement)


def _bound(sql: str, params: Mapping[str, Raw]) -> dict[str, Raw]:
    """The parameters that the statement names. With others the driver would paste values into the text."""
    named = set(_PLACEHOLDER.findall(sql))
    return {name: value for name, value in params.items() if name in named}


def _check(
    session: Session,
    sql: str,
    params: Mapping[str, Raw],
    own: str,
    foreign: frozenset[str],
    *,
    confined: bool,
) -> None:
    """Raise SqlRefusedError unless everything the statement names is allowed. Runs nothing of it.

    The syntax tree is judged before the query tree is asked for: building the latter obeys SETTINGS.
    """
    syntax = _explained(session, f"EXPLAIN AST {sql}", params)
    _check_settings(syntax)
    _check_table_functions(_TABLE_FUNCTION_CALLED.findall(syntax))
    called = set(_CALLED.findall(syntax))
    _check_functions(called - TABLE_FUNCTIONS)
    named = set(_TABLE_NAMED.findall(syntax))
    _check_tables(set(_TABLE_READ.findall(syntax)), named, own, foreign)

    tree = _explained(session, f"EXPLAIN QUERY TREE run_passes = 0 {sql}", params)
    _check_settings(tree)
    _check_table_functions(_TABLE_FUNCTION.findall(tree))
    in_tree = set(_CALLED_IN_TREE.findall(tree))
    _check_functions(in_tree)
    named |= set(_IDENTIFIER.findall(tree))
    _check_tables(frozenset(), named, own, foreign)
    if confined:
        _check_confined(session, Explained(_without_literals(sql), syntax, tree), frozenset(named))
    if (called | in_tree) & HIGHER_ORDER:
        _check_references(session, named)


def _check_confined(session: Session, statement: Explained, named: frozenset[str]) -> None:
    try:
        check_confined(session, statement, named)
    except StoreError as error:
        raise engine_error(error) from error


def _check_table_functions(names: Iterable[str]) -> None:
    for name in names:
        if name not in TABLE_FUNCTIONS:
            raise SqlRefusedError(
                f"The table function {_shown(name)} is refused: it may read what lies outside Lowtide's "
                "database"
            )


def _check_functions(names: AbstractSet[str]) -> None:
    for name in sorted(names):
        if not is_allowed_function(name):
            raise SqlRefusedError(f"The function {_shown(name)} is refused: {reason_against(name)}")


def _check_settings(explained: str) -> None:
    if _SET.search(explained):
        raise SqlRefusedError(
            "SETTINGS is refused: the limits of this endpoint are not the client's to change"
        )


def _check_references(session: Session, named: AbstractSet[str]) -> None:
    """Beside a function that takes a lambda, a bare name may stand for a function: `arrayMap(file,
    paths)`."""
    bare = sorted({name.strip("`").lower() for name in named if "." not in name})
    try:
        functions = session.rows(load_sql("api", "functions_named"), {"names": bare})
    except StoreError as error:
        raise engine_error(error) from error
    for (name,) in functions:
        if not is_allowed_function(name):
            raise SqlRefusedError(
                f"The function {_shown(name)} is refused ({reason_against(name)}), and beside a function "
                f"that takes a lambda its bare name may mean it. Write a column of that name with its "
                f"table, t.{_shown(name)}"
            )


def _explained(session: Session, sql: str, params: Mapping[str, Raw]) -> str:
    try:
        return session.raw(sql, params, fmt="TSVRaw").decode("utf-8", "replace")
    except StoreError as error:
        raise engine_error(error) from error


def _check_tables(read: AbstractSet[str], named: AbstractSet[str], own: str, foreign: frozenset[str]) -> None:
    """What stands where a table does must be ours or listed. Elsewhere a qualified name may be a column's; it
    counts as a table's if its first part is another database's."""
    for name in sorted(read | named):
        database, _, rest = name.partition(".")
        is_table = name in read or database in foreign
        if rest and is_table and database != own and _first_two(name) not in FOREIGN_TABLES:
            raise SqlRefusedError(
                f"The table {_shown(name)} is refused: only {_OPEN_TABLES} may be read here"
            )


def _first_two(name: str) -> str:
    return ".".join(name.split(".", 2)[:2])


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"
