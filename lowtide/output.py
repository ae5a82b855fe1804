"""Writes rows to stdout as a table, as JSON or as CSV. Every command that answers with rows calls `render`.

Data goes to stdout, everything said about it to stderr (`note`), so that a pipe carries data only. Tables
are for people: figures rounded, one unit a cell. JSON and CSV are for programs: exact values, decimals as
they are. The trap: names come from telemetry, so they are printed with control characters escaped and, in
CSV, kept from being formulas.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from types import NoneType
from typing import TextIO

from lowtide import units


class Output(StrEnum):
    """The formats every command offers with `--output`."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Unit(StrEnum):
    """What a column holds. It decides how a table shows it and on which side it stands."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"  # Decimal, in the currency of the column
    SHARE = "share"  # fraction of one
    BYTES = "bytes"
    SECONDS = "seconds"
    INSTANT = "instant"  # aware datetime


class Align(StrEnum):
    """The side of its column on which a cell stands."""

    LEFT = "left"
    RIGHT = "right"


Row = object
"""A mapping with the columns' names as keys, or an object that has them as attributes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an answer.

    `name` is the key in rows, JSON and the CSV header; `title` heads the column of a table, with the
    currency added to money. `places` are decimals shown in a table. `show` writes a cell of the table in
    another way than the unit does; JSON and CSV do not ask it. None is a missing value everywhere: "-",
    null, an empty cell.
    """

    name: str
    title: str
    unit: Unit = Unit.TEXT
    currency: str | None = None
    places: int = 2
    align: Align | None = None
    show: Callable[[object], str] | None = None

    def __post_init__(self) -> None:
        if (self.unit is Unit.MONEY) != (self.currency is not None):
            raise ValueError(f"column {self.name}: money has a currency, and nothing else has")

    @property
    def side(self) -> Align:
        """Right for figures, left for words, unless told otherwise."""
        figures = self.unit not in (Unit.TEXT, Unit.INSTANT)
        return self.align or (Align.RIGHT if figures else Align.LEFT)


def render(
    rows: Iterable[Row],
    columns: Sequence[Column],
    output: Output | str = Output.TABLE,
    *,
    file: TextIO | None = None,
    zone: tzinfo = UTC,
) -> None:
    """Write the rows. JSON and CSV are written row by row as they come; a table needs them all first.

    JSON is a list of objects, CSV has a header; where there is money, both carry `currency` as the last key.
    `zone` is for times in tables only. Raises KeyError or AttributeError if a row lacks a column.
    """
    stream = sys.stdout if file is None else file
    match Output(output):
        case Output.JSON:
            _write_json(rows, columns, stream)
        case Output.CSV:
            _write_csv(rows, columns, stream)
        case Output.TABLE:
            _write_table(rows, columns, stream, zone)


def note(text: str) -> None:
    """Say something about the answer on stderr: what was left out, what is not known, what to do next."""
    sys.stderr.writelines(f"{printable(line)}\n" for line in text.splitlines())


def printable(text: str) -> str:
    """The text with control characters written as escapes, so that it cannot steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _cell(row: Row, column: Column) -> object:
    value: object = row[column.name] if isinstance(row, Mapping) else getattr(row, column.name)
    if column.unit is Unit.MONEY and not isinstance(value, (Decimal, NoneType)):
        raise TypeError(f"column {column.name}: money is a Decimal, not {type(value).__name__}")
    return value


def _currency(columns: Sequence[Column]) -> str | None:
    """The one currency of all money columns. Two would need a column of their own, and must not be added
    up.
    """
    currencies = {column.currency for column in columns if column.currency is not None}
    if len(currencies) > 1:
        raise ValueError(f"money in several currencies in one answer: {', '.join(sorted(currencies))}")
    return next(iter(currencies), None)


# --- JSON and CSV
# ---------------------------------------------------------------------------------------------


def _plain(value: object) -> object:
    """The value as JSON holds it exactly: decimals as text with every digit, times as RFC 3339, no NaN."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return units.exact(value) if value.is_finite() else None
    if isinstance(value, datetime):
        return units.rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no notation for {type(value).__name__}")


def _records(rows: Iterable[Row], columns: Sequence[Column]) -> Iterator[dict[str, object]]:
    currency = _currency(columns)
    for row in rows:
        record = {column.name: _plain(_cell(row, column)) for column in columns}
        if currency is not None:
            record.setdefault("currency", currency)
        yield record


def _write_json(rows: Iterable[Row], columns: Sequence[Column], stream: TextIO) -> None:
    before = "[\n  "
    for record in _records(rows, columns):
        stream.write(before + json.dumps(record, ensure_ascii=False, allow_nan=False))
        before = ",\n  "
    stream.write("[]\n" if before.startswith("[") else "\n]\n")


def _write_csv(rows: Iterable[Row], columns: Sequence[Column], stream: TextIO) -> None:
    header = [column.name for column in columns]
    if _currency(columns) is not None and "currency" not in header:
        header.append("currency")
    writer = csv.writer(_Lines(stream), lineterminator="\r\n")
    writer.writerow(header)
    for record in _records(rows, columns):
        writer.writerow([_csv_text(record[name]) for name in header])


class _Lines:
    """Ends rows with a line feed alone, as the shell's tools expect.

    `csv` itself, told to do so, would leave a carriage return inside a cell unquoted.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, row: str) -> None:
        self.stream.write(row.removesuffix("\r\n") + "\n")


# What spreadsheets take for the beginning of a formula, also in the full-width forms some of them accept.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _csv_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


# --- tables
# ---------------------------------------------------------------------------------------------------

MISSING = "-"
_NARROWEST_NAME = 16
"""Names wrap, but not below this many characters: a wider screen is the better answer then."""
_GAP = 2


def _table_text(value: object, column: Column, zone: tzinfo) -> str:
    if value is None:
        return MISSING
    if column.show is not None:
        return printable(column.show(value))
    match value, column.unit:
        case Decimal(), Unit.MONEY:
            return units.money(value, column.places) if value.is_finite() else "?"
        case ((int() | float() | Decimal()), Unit.SHARE):
            return units.share(float(value), 1)
        case ((int() | float() | Decimal()), Unit.BYTES):
            return units.size(float(value))
        case ((int() | float() | Decimal()), Unit.SECONDS):
            return units.duration(float(value))
        case timedelta(), Unit.SECONDS:
            return units.duration(value.total_seconds())
        case bool(), _:
            return "yes" if value else "no"
        case ((int() | float()), _):
            return units.number(value, column.places)
        case datetime(), _:
            return units.instant(value, zone)
        case _:
            plain = _plain(value)
            return printable(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))


def _write_table(rows: Iterable[Row], columns: Sequence[Column], stream: TextIO, zone: tzinfo) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    _currency(columns)
    cells = [[_table_text(_cell(row, column), column, zone) for column in columns] for row in rows]
    titles = [f"{c.title} ({c.currency})" if c.currency else c.title for c in columns]
    natural = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
    figures = [column.side is Align.RIGHT or column.unit is Unit.INSTANT for column in columns]
    least = [w if fixed else min(w, _NARROWEST_NAME) for w, fixed in zip(natural, figures, strict=True)]
    gaps = _GAP * (len(columns) - 1)

    console = Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=False)
    # Without a terminal nothing is wrapped, so that a line is a row; on one, figures are never cut: a table
    # that is too wide for the screen is written too wide.
    widths = _fitted(natural, least, console.width - gaps) if console.is_terminal else natural
    table = Table(
        box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", collapse_padding=True
    )
    for title, column, width in zip(titles, columns, widths, strict=True):
        # Wrapped here already: the table itself would cut what does not fit to the cell.
        table.add_column(Text(_wrapped(title, width)), justify=column.side.value, no_wrap=True, width=width)
    for line in cells:
        table.add_row(*(Text(_wrapped(cell, width)) for cell, width in zip(line, widths, strict=True)))
    console.width = max(sum(widths) + gaps, 1)
    with console.capture() as capture:
        console.print(table)
    stream.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _fitted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of columns that together need at most `room`: the widest narrowed first, none below its
    least.
    """
    for limit in range(max(natural, default=0), 0, -1):
        widths = [max(low, min(wide, limit)) for wide, low in zip(natural, least, strict=True)]
        if sum(widths) <= room:
            return widths
    return list(least)


def _wrapped(text: str, width: int) -> str:
    """The text in lines of at most `width` cells, broken at spaces; a longer word is broken where it must."""
    from rich.cells import cell_len, chop_cells

    if cell_len(text) <= width:
        return text
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        if not lines[-1]:
            lines.pop()
        lines += chop_cells(word, width) if word else [""]
    return "\n".join(lines)
