"""Reads a bill's file in batches of texts, whatever it is: CSV, CSV in gzip, or Parquet.

    with open_bill(path, name, limit_bytes) as bill:
        bill.columns
        for batch in bill.batches():      # polars frames; all columns String, null where there is no value

Decimals of Parquet become text with all their digits; floating point becomes the shortest text that means the
same number, which is what its maker meant. Only a batch is in memory. The traps: CSV readers fill up short
rows and swallow the rest of a file behind a quote that is not closed, so rows are counted against the header
and quotes by pairs; and a row may have several lines, so its line is only looked for once it is needed.
"""

from __future__ import annotations

import csv
import gzip
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from ingest.bills.errors import BillError, BillTooLargeError

BATCH_BYTES: Final = 16 * 1024 * 1024
BATCH_ROWS: Final = 50_000
MOST_COLUMNS: Final = 1000
_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_NULLS: Final = ("", "NULL", "null")
_UNPACKING: Final = (EOFError, gzip.BadGzipFile, zlib.error)
_QUOTE: Final = (
    'there is a quote (") too many: one is not closed, or stands in a value without quotes around it'
)
_long_values = threading.Lock()


class Bill(Protocol):
    """An open file."""

    name: str
    format: str
    floats: Sequence[str]
    """Columns that came as floating point."""

    @property
    def columns(self) -> Sequence[str]:
        """The names in the header, each once."""

    def batches(self) -> Iterator[pl.DataFrame]:
        """All rows, in order. Raises BillError."""

    def lines(self, rows: Sequence[int]) -> Mapping[int, str]:
        """Where these rows stand (from 0), in words."""


@contextmanager
def open_bill(path: Path, name: str, limit_bytes: int) -> Iterator[Bill]:
    """The file, for reading once or several times. `limit_bytes` is of what it unpacks to.

    Raises BillError if it is neither CSV nor Parquet, OSError.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == _PARQUET:
        yield _Parquet(path, name, limit_bytes)
    else:
        yield _Csv(path, name, limit_bytes, packed=head.startswith(_GZIP))


class _Counted:
    """A stream that counts what is read from it: bytes against the limit, and quotes."""

    def __init__(self, file: IO[bytes], name: str, limit_bytes: int) -> None:
        self._file, self._name, self._limit_bytes = file, name, limit_bytes
        self._taken = 0
        self.quotes = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._taken += len(piece)
        self.quotes += piece.count(b'"')
        if self._taken > self._limit_bytes:
            raise BillTooLargeError([f"{self._name} has more than {self._limit_bytes} bytes"])
        return piece

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


@contextmanager
def _values_of_any_length() -> Iterator[None]:
    """Python's CSV reader takes values of 128 KiB and no longer, a limit that the whole process shares: it
    is raised while one reads here, by one at a time."""
    with _long_values:
        before = csv.field_size_limit(BATCH_BYTES)
        try:
            yield
        finally:
            csv.field_size_limit(before)


class _Csv:
    """CSV with a header, UTF-8, as RFC 4180 has it."""

    def __init__(self, path: Path, name: str, limit_bytes: int, *, packed: bool) -> None:
        self.name, self.format = name, "CSV in gzip" if packed else "CSV"
        self.floats: Sequence[str] = ()
        self._path, self._packed, self._limit_bytes = path, packed, limit_bytes
        self.columns = _header(name, self._read_header())

    def batches(self) -> Iterator[pl.DataFrame]:
        wrong: list[Any] = []

        def skip(row: Any) -> str:
            wrong.append(row)
            return "skip"

        with self._open() as file:
            counted = _Counted(file, self.name, self._limit_bytes)
            try:
                reader = pa_csv.open_csv(
                    pa.PythonFile(counted, mode="r"),
                    read_options=pa_csv.ReadOptions(use_threads=False, block_size=BATCH_BYTES),
                    parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
                    convert_options=pa_csv.ConvertOptions(
                        column_types=dict.fromkeys(self.columns, pa.string()), strings_can_be_null=False
                    ),
                )
                for batch in reader:
                    if wrong:
                        break
                    yield _without_nulls(pl.DataFrame(pl.from_arrow(batch)))
            except (pa.ArrowInvalid, *_UNPACKING) as error:
                raise BillError(self._strange(str(error))) from error
            if wrong:
                raise BillError(self._strange("a row has not as many values as the header"))
            if counted.quotes % 2:
                raise BillError(self._strange(_QUOTE))

    def lines(self, rows: Sequence[int]) -> Mapping[int, str]:
        wanted, found = set(rows), {}
        with _values_of_any_length():
            for number, (line, _) in enumerate(self._records()):
                if number in wanted:
                    found[number] = f"{self.name}:{line}"
                    if len(found) == len(wanted):
                        break
        return found

    def _strange(self, otherwise: str) -> list[str]:
        """Rows that are no rows, each with its line; `otherwise` is said if none is found."""
        problems: list[str] = []
        try:
            with _values_of_any_length():
                for line, record in self._records():
                    problems += self._strange_in(line, record)
                    if len(problems) >= 20:
                        break
        except csv.Error as error:
            problems.append(f"{self.name}: {error}: a quote is opened and not closed")
        except (*_UNPACKING, OSError) as error:
            problems.append(f"{self.name} cannot be unpacked: {error}")
        return problems or [f"{self.name}: {otherwise}"]

    def _strange_in(self, line: int, record: Sequence[str]) -> Iterator[str]:
        if len(record) != len(self.columns):
            yield f"{self.name}:{line}: the row has {len(record)} values, the header {len(self.columns)}"
        for column, value in zip(self.columns, record, strict=False):
            if not value.isascii() and any("\udc80" <= char <= "\udcff" for char in value):
                yield f"{self.name}:{line}: {column}: this is not UTF-8"

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Every record behind the header, with the line it begins in. Slow: for messages only, and within
        `_values_of_any_length`."""
        with self._open() as file:
            lines = (line.decode("utf-8-sig" if not at else "utf-8", "surrogateescape")
                     for at, line in enumerate(file))  # fmt: skip
            reader = csv.reader(lines, strict=True)
            next(reader, None)
            begin = reader.line_num + 1
            for record in reader:
                if record:  # an empty line is none
                    yield begin, record
                begin = reader.line_num + 1

    def _read_header(self) -> Sequence[str]:
        try:
            with self._open() as file:
                first = file.readline(BATCH_BYTES)
            text = first.decode("utf-8-sig")
            return next(csv.reader([text], strict=True), [])
        except (UnicodeDecodeError, csv.Error, *_UNPACKING) as error:
            raise BillError([f"{self.name}:1: this is neither CSV nor Parquet: {error}"]) from error

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with gzip.open(self._path) if self._packed else self._path.open("rb") as file:
            yield file  # type: ignore[misc]  # what gzip opens reads like a file


class _Parquet:
    """Parquet, of any types that have one text each."""

    def __init__(self, path: Path, name: str, limit_bytes: int) -> None:
        self.name, self.format = name, "Parquet"
        self._limit_bytes = limit_bytes
        try:
            self._file = pa_parquet.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise BillError([f"{name}: this Parquet file cannot be read: {error}"]) from error
        schema = self._file.schema_arrow
        self.columns = _header(name, schema.names)
        self.floats: Sequence[str] = tuple(field.name for field in schema if pa.types.is_floating(field.type))

    def batches(self) -> Iterator[pl.DataFrame]:
        taken = 0
        try:
            for batch in self._file.iter_batches(batch_size=BATCH_ROWS):
                taken += batch.nbytes
                if taken > self._limit_bytes:
                    raise BillTooLargeError([f"{self.name} unpacks to more than {self._limit_bytes} bytes"])
                yield pl.DataFrame(
                    {name: _as_text(batch.column(at)) for at, name in enumerate(batch.schema.names)}
                )
        except (pa.ArrowException, OSError) as error:
            raise BillError([f"{self.name}: this Parquet file cannot be read: {error}"]) from error

    def lines(self, rows: Sequence[int]) -> Mapping[int, str]:
        return {row: f"{self.name}: row {row + 1}" for row in rows}


def _header(name: str, columns: Sequence[str]) -> Sequence[str]:
    """The names, once it is clear that they are some. Raises BillError."""
    twice = (
        sorted({column for column in columns if list(columns).count(column) > 1})
        if len(columns) < 5000
        else []
    )
    if len(columns) > MOST_COLUMNS or twice:
        said = (
            f"columns are there twice: {', '.join(twice[:5])}"
            if twice
            else f"more than {MOST_COLUMNS} columns"
        )
        raise BillError([f"{name}:1: {said}"])
    strange = [column for column in columns if column == "*" or (column[:1], column[-1:]) == ("^", "$")]
    if strange:  # polars takes them for patterns of names
        raise BillError([f"{name}:1: {column}: no column is read by such a name" for column in strange[:20]])
    return tuple(columns)


def _without_nulls(batch: pl.DataFrame) -> pl.DataFrame:
    return batch.with_columns(
        pl.when(pl.col(name).is_in(_NULLS)).then(None).otherwise(pl.col(name)).alias(name)
        for name in batch.columns
    )


def _as_text(column: Any) -> pl.Series:
    """An Arrow column as text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_nested(kind):
        values = column.to_pylist()
        return pl.Series([_object(value) for value in values], dtype=pl.String)
    series = pl.Series(pl.from_arrow(column))
    if isinstance(series.dtype, pl.Datetime):
        zoned = series if series.dtype.time_zone is None else series.dt.convert_time_zone("UTC")
        return zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    if isinstance(series.dtype, pl.Date):
        return series.dt.strftime("%Y-%m-%dT00:00:00Z")
    if series.dtype.is_float():
        return pl.Series(
            [None if value is None else repr(value) for value in series.to_list()], dtype=pl.String
        )
    text = series.cast(pl.String)
    return text.set(text.is_in(_NULLS).fill_null(value=False), None)


def _object(value: Any) -> str | None:
    """A map or struct as a JSON object; a list of pairs, which is how Arrow hands maps out, as well."""
    if value is None:
        return None
    pairs = dict(value) if isinstance(value, list) and all(isinstance(one, tuple) for one in value) else value
    return orjson.dumps(pairs, default=str).decode()
