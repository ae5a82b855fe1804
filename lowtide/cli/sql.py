"""`lowtide sql`: one read-only statement, answered as a table, as JSON or as CSV. Registered by the app.

It passes the same guard and limits as the API's `/sql`, also when no server runs and the command opens the
store itself. The trap: a FORMAT clause in the statement goes before --output; what it gives is written as it
comes, bytes and all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowtide.cli.invocation import OutputOption, invocation
from lowtide.errors import LowtideError
from lowtide.output import Column, Output, Unit, render
from lowtide.units import exact

if TYPE_CHECKING:
    from lowtide.server_client import ServerClient
    from lowtide.settings import Settings

_WIRE_FORMAT = "JSONCompactEachRowWithNamesAndTypes"
"""A line of names, a line of types, a line for each row; all numbers with every digit."""
_FIGURES = ("UInt", "Int", "Float", "BFloat", "Decimal")
_WRAPPERS = ("Nullable(", "LowCardinality(")


class SqlCommandError(LowtideError):
    """The statement got no answer; the message says why and where."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sql")(sql)


def sql(
    ctx: typer.Context,
    statement: Annotated[
        str, typer.Argument(metavar="STATEMENT", help="One statement, or - to read it from stdin.")
    ],
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="Value for {NAME:Type} in the statement; repeatable."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask the store in ClickHouse's SQL, read only: SELECT, SHOW, DESCRIBE, EXISTS."""
    run = invocation(ctx)
    values = dict(_parameter(given) for given in params or ())
    text = sys.stdin.read() if statement == "-" else statement
    settings = run.settings()
    client = run.server(settings)
    if client is None:
        body = _from_store(settings, text, values)
    else:
        with client:
            body = _from_server(client, text, values)
    _write(body, output)


def _parameter(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name.isidentifier():
        raise typer.BadParameter(f"{given!r} is not NAME=VALUE", param_hint="--param")
    # Escaped as in a tab-separated file, which is how ClickHouse takes parameters.
    escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    return name, value.translate(escapes)


def _from_server(client: ServerClient, statement: str, params: dict[str, str]) -> bytes:
    from api.sql.plain import from_wire
    from lowtide.server_client import RequestRefusedError

    asked = {"default_format": _WIRE_FORMAT} | {f"param_{name}": value for name, value in params.items()}
    try:
        return client.request("POST", "/sql", asked, content=_encoded(statement)).body
    except RequestRefusedError as error:
        told = from_wire(str(error))
        if told is None:
            raise
        raise _plain(*told, statement) from None


def _from_store(settings: Settings, statement: str, params: dict[str, str]) -> bytes:
    from api.sql.errors import SqlError
    from api.sql.service import SqlService
    from lowtide.store_access import open_store

    _encoded(statement)
    with open_store(settings) as engine, SqlService(engine, settings.api.sql) as service:
        try:
            return service.answer(statement, params, default_format=_WIRE_FORMAT).body
        except SqlError as error:
            raise _plain(error.code, str(error), statement) from None


def _encoded(statement: str) -> bytes:
    try:
        return statement.encode()
    except UnicodeEncodeError as error:
        raise SqlCommandError("The statement is not UTF-8.") from error


def _plain(code: int, words: str, statement: str) -> SqlCommandError:
    from api.sql.plain import explain_error

    told = explain_error(code, words, statement)
    return SqlCommandError(told.message, hint=told.hint)


def _write(body: bytes, output: Output) -> None:
    table = _parsed(body)
    if table is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        return
    names, types, rows = table
    columns = [
        _column(str(place), name, kind) for place, (name, kind) in enumerate(zip(names, types, strict=True))
    ]
    if output is not Output.TABLE:
        columns = [Column(name, name) for name in names]
    render((_row(columns, types, row) for row in rows), columns, output)


def _parsed(body: bytes) -> tuple[list[str], list[str], list[list[Any]]] | None:
    """Names, types and rows, or None if the statement chose a format of its own."""
    try:
        lines = [json.loads(line, parse_float=Decimal) for line in body.splitlines()]
    except ValueError:
        return None
    if len(lines) < 2 or not all(isinstance(line, list) for line in lines):
        return None
    names, types, *rows = lines
    if not all(isinstance(text, str) for text in [*names, *types]) or len(names) != len(types):
        return None
    return names, types, rows


def _column(key: str, name: str, kind: str) -> Column:
    """A column of the table. Figures are shown whole: nobody knows here what they mean."""
    for wrapper in _WRAPPERS:
        kind = kind.removeprefix(wrapper)
    if kind.startswith(_FIGURES):
        return Column(key, name, Unit.NUMBER, show=_figure)
    return Column(key, name)


def _figure(value: object) -> str:
    return exact(value) if isinstance(value, Decimal) else str(value)


def _row(columns: Sequence[Column], types: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {
        column.name: value if "Decimal" in kind else _with_floats(value)
        for column, kind, value in zip(columns, types, values, strict=True)
    }


def _with_floats(value: Any) -> Any:
    """The value with binary fractions as floats; only decimals of the store stay decimals."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    return value
