"""Turns a batch of texts into charges: typed columns, and a problem for every value that is none. Pure.

`ingest.bills.importing` gives it batch after batch. Amounts are decimals of 24 places, exactly as they were
written; what has more digits than fit is a problem, not a rounding. Times are UTC, which is what FOCUS says;
another offset is a problem, none at all is taken for UTC and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import orjson
import polars as pl

from ingest.bills.focus import CATEGORIES, CLASSES, NEVER_NULL, Form, form_of

SCALE: Final = 24
AMOUNT: Final = pl.Decimal(38, SCALE)
TIME: Final = pl.Datetime("ms", "UTC")
_PLAIN: Final = rf"^[+-]?(\d{{1,14}}(\.\d{{0,{SCALE}}}0*)?|\.\d{{1,{SCALE}}}0*)$"
_SCIENTIFIC: Final = r"^[+-]?(\d+(\.\d*)?|\.\d+)[eE][+-]?\d{1,3}$"
_DAY: Final = r"(\d{4}-\d{2}-\d{2})"
_CLOCK: Final = r"(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.0+)?)?"
_ZONE: Final = r" ?(Z|UTC|[+-]00:?00)?"
_TIME: Final = f"^{_DAY}{_CLOCK}{_ZONE}$"
_FIRST_YEAR, _LAST_YEAR = 2000, 2105
"""The engine's times end in 2106; a bill of before 2000 is a mistake."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A value that is none: the row's number in the file (from 0), its column, what is the matter."""

    row: int
    column: str
    message: str


@dataclass(slots=True)
class Checked:
    """A batch that was looked at. `charges` has the columns of `ingest.bills.charges`, without those of the
    import.
    """

    charges: pl.DataFrame
    wrong: list[Wrong] = field(default_factory=list)
    zoneless: int = 0


def check(batch: pl.DataFrame, first_row: int, most: int) -> Checked:
    """The batch with its known columns typed. `first_row` is the number of its first row; at most about
    `most` problems of each column are told.
    """
    found = Checked(batch)
    typed: dict[str, pl.Series] = {}
    for name in batch.columns:
        series = batch[name]
        typed[name] = _FORMS[form_of(name)](series, found, first_row, most)
        if name in NEVER_NULL:
            _note(found, series.is_null(), name, first_row, most, lambda _: "there is no value")
    found.charges = pl.DataFrame(typed, height=len(batch))
    for name, allowed in (("ChargeCategory", CATEGORIES), ("ChargeClass", CLASSES)):
        if name in typed:
            strange = ~typed[name].is_in(list(allowed)) & typed[name].is_not_null()
            _note(found, strange, name, first_row, most, _none_of(allowed))
    if "BillingCurrency" in typed:
        strange = (
            ~typed["BillingCurrency"].str.contains(r"^[A-Z]{3}$") & typed["BillingCurrency"].is_not_null()
        )
        _note(
            found,
            strange,
            "BillingCurrency",
            first_row,
            most,
            lambda text: f"{text!r} is no currency (ISO 4217)",
        )
    for period in ("BillingPeriod", "ChargePeriod"):
        start, end = typed.get(f"{period}Start"), typed.get(f"{period}End")
        if start is not None and end is not None:
            ended = (end <= start).fill_null(value=False)
            _note(found, ended, f"{period}End", first_row, most, lambda _: "it ends before it begins")
    return found


def _none_of(allowed: frozenset[str]) -> Callable[[str], str]:
    return lambda text: f"{text!r} is none of {', '.join(sorted(allowed))}"


def _note(
    found: Checked,
    mask: pl.Series,
    column: str,
    first_row: int,
    most: int,
    words: Callable[[str], str],
    texts: pl.Series | None = None,
) -> None:
    rows = mask.fill_null(value=False).arg_true().head(most).to_list()
    shown = texts if texts is not None else found.charges[column]
    found.wrong += [Wrong(first_row + row, column, words(str(shown[row])[:60])) for row in rows]


def _text(series: pl.Series, _found: Checked, _first: int, _most: int) -> pl.Series:
    return series


def _amounts(series: pl.Series, found: Checked, first: int, most: int) -> pl.Series:
    plain = series.str.contains(_PLAIN) | series.is_null()
    if not plain.all():
        written = _written_out(series.filter(~plain))
        series = series.scatter(plain.not_().arg_true(), written)
        bad = ~(series.str.contains(_PLAIN) | series.is_null())
        _note(found, bad, series.name, first, most, _no_amount, series)
        series = series.set(bad, None)
    return series.str.strip_prefix("+").cast(AMOUNT, strict=False)


def _written_out(odd: pl.Series) -> pl.Series:
    """Numbers with an exponent without one; whatever else it is stays as it is, and is told then."""
    scientific = odd.str.contains(_SCIENTIFIC).to_list()
    return pl.Series(
        odd.name,
        [
            format(Decimal(text), "f") if is_scientific else text
            for text, is_scientific in zip(odd.to_list(), scientific, strict=True)
        ],
        dtype=pl.String,
    )


def _no_amount(text: str) -> str:
    digits = text.lstrip("+-").replace(".", "", 1)
    if digits.isascii() and digits.isdigit():
        return f"{text} has more digits than can be kept (14 before the point, {SCALE} behind it)"
    return f"{text!r} is no number"


def _times(series: pl.Series, found: Checked, first: int, most: int) -> pl.Series:
    parts = series.str.extract_groups(_TIME)
    day, clock, zone = (parts.struct.field(name) for name in parts.struct.fields)
    # Azure's exports have no seconds (finops-toolkit, FOCUS conformance full report).
    clock = (clock.fill_null("00:00") + ":00").str.slice(0, len("00:00:00"))
    times = (day + clock).str.to_datetime("%Y-%m-%d%H:%M:%S", strict=False, time_unit="ms", time_zone="UTC")
    years = times.dt.year()
    bad = series.is_not_null() & (
        times.is_null() | ~years.is_between(_FIRST_YEAR, _LAST_YEAR).fill_null(value=False)
    )
    _note(found, bad, series.name, first, most, _no_time, series)
    found.zoneless += int((times.is_not_null() & zone.is_null()).sum())
    return times.rename(series.name)


def _no_time(text: str) -> str:
    return f"{text!r} is no time in UTC (2026-05-01T00:00:00Z, years {_FIRST_YEAR} to {_LAST_YEAR})"


def _objects(series: pl.Series, found: Checked, first: int, most: int) -> pl.Series:
    kinds = {text: _is_object(text) for text in series.drop_nulls().unique()}
    broken = [text for text, is_object in kinds.items() if not is_object]
    if broken:
        _note(found, series.is_in(broken), series.name, first, most, _no_object, series)
    return series


def _no_object(text: str) -> str:
    return f"{text!r} is no JSON object"


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


_FORMS: Final[dict[Form, Callable[[pl.Series, Checked, int, int], pl.Series]]] = {
    Form.TEXT: _text,
    Form.DECIMAL: _amounts,
    Form.TIME: _times,
    Form.JSON: _objects,
}


def told(wrong: Sequence[Wrong], places: dict[int, str]) -> Iterator[str]:
    """The problems as sentences, in the order of the rows."""
    for one in sorted(wrong, key=lambda each: each.row):
        yield f"{places[one.row]}: {one.column}: {one.message}"
