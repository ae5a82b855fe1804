"""What statements from outside may name: functions, table functions, and the tables beside Lowtide's own.

The functions are read from `functions_allowed.txt`, the reasons of refusals from `functions_refused.txt`, and
what may be called on values in a dictionary from `functions_total.txt`. Asked by the guard.

The trap: aggregate functions take suffixes (`sumIf`, `quantileMergeState`), so a name is allowed if what is
left without them is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

TABLE_FUNCTIONS: Final = frozenset({
    "generateSeries", "generate_series", "numbers", "numbers_mt", "primes", "values",
})  # fmt: skip
"""Rows from nothing but the arguments. All others read files, networks, other tables by name, or run
programs."""

_INFORMATION_SCHEMA: Final = ("columns", "schemata", "tables", "views")
FOREIGN_TABLES: Final = frozenset({
    *(f"system.{table}" for table in (
        "aggregate_function_combinators", "columns", "contributors", "data_skipping_indices",
        "data_type_families",
        "databases", "formats", "functions", "keywords", "licenses", "numbers", "numbers_mt", "one",
        "settings",
        "table_engines", "table_functions", "tables", "time_zones",
    )),
    *(f"information_schema.{table}" for table in _INFORMATION_SCHEMA),
    *(f"INFORMATION_SCHEMA.{table}" for table in _INFORMATION_SCHEMA),
    *(f"INFORMATION_SCHEMA.{table.upper()}" for table in _INFORMATION_SCHEMA),
    *(f"information_schema.{table.upper()}" for table in _INFORMATION_SCHEMA),
})  # fmt: skip
"""Tables outside Lowtide's database that describe what there is to ask, and nothing that happens."""

COMBINATORS: Final = (
    "SimpleState", "OrDefault", "Distinct", "Resample", "ForEach", "ArgMax", "ArgMin", "OrNull", "Tuple",
    "Merge",
    "State", "Array", "Null", "Map", "If",
)  # fmt: skip
"""Suffixes of aggregate functions; a test compares them with the engine's."""

HIGHER_ORDER: Final = frozenset({
    "arrayAll", "arrayAvg", "arrayBottomK", "arrayCompact", "arrayCount", "arrayCumSum",
    "arrayCumSumNonNegative", "arrayDifference", "arrayExists", "arrayFill", "arrayFilter", "arrayFirst",
    "arrayFirstIndex", "arrayFirstOrNull", "arrayFold", "arrayLast", "arrayLastIndex", "arrayLastOrNull",
    "arrayMap", "arrayMax", "arrayMin", "arrayPartialReverseSort", "arrayPartialSort", "arrayProduct",
    "arrayReverseFill", "arrayReverseSort", "arrayReverseSplit", "arraySort", "arraySplit", "arraySum",
    "arrayTopK", "mapAll", "mapApply", "mapExists", "mapFilter", "mapPartialReverseSort", "mapPartialSort",
    "mapReverseSort", "mapSort",
})  # fmt: skip
"""Functions that take a lambda, and in its place a function's bare name; a test compares them with the
engine's."""

_LONGEST_NAME: Final = 128
"""Twice the longest of the engine's, with room for suffixes."""


_PLACES: Final = {"any": None, "first": 0, "second": 1}
_AGGREGATES: Final = frozenset({"Aggregate", "Aggregate Functions"})
_OF_TIME_AND_TEXT: Final = frozenset({
    "Dates and Times", "Hash", "String", "String Replacement", "String Search", "String Splitting", "URL",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Total:
    """What is known of a function that has an answer for every value, in the words of `functions_total.txt`:
    which argument may be in a dictionary (None: any), what it gives, and whether it compares.
    """

    place: int | None
    gives: str
    compares: bool

    def takes(self, places: Sequence[int]) -> bool:
        """Whether the arguments at these places may be in a dictionary."""
        return self.place is None or all(place == self.place for place in places)


@cache
def allowed_functions() -> frozenset[str]:
    """The names in `functions_allowed.txt`."""
    return frozenset(name for names in _sections("functions_allowed.txt").values() for name in names)


@cache
def refused_functions() -> dict[str, str]:
    """The names in `functions_refused.txt` with the reason, which is the heading above them."""
    return {name: reason for reason, names in _sections("functions_refused.txt").items() for name in names}


def is_allowed_function(name: str) -> bool:
    """Whether a function may be called under this name, in any case the engine may accept."""
    if len(name) > _LONGEST_NAME or name.lower() in _lower_refused():
        return False
    if name.lower() in _lower_allowed():
        return True
    return any(
        name.endswith(suffix) and is_allowed_function(name.removesuffix(suffix)) for suffix in COMBINATORS
    )


@cache
def total_functions() -> dict[str, Total]:
    """The names in `functions_total.txt`, in lower case."""
    total: dict[str, Total] = {}
    for heading, names in _sections("functions_total.txt").items():
        place, gives, *compares = heading.partition(":")[0].split(", ")
        total |= dict.fromkeys(map(str.lower, names), Total(_PLACES[place], gives, compares == ["compared"]))
    return total


def is_aggregate_function(name: str) -> bool:
    """Whether an allowed function of this name aggregates; the engine looks for an ordinary one first."""
    if name.lower() in _lower_ordinary():
        return False
    if name.lower() in _lower_aggregates():
        return True
    return any(
        name.endswith(suffix) and is_aggregate_function(name.removesuffix(suffix)) for suffix in COMBINATORS
    )


def reason_against(name: str) -> str:
    """Why a function is refused, in a few words."""
    reason = _lower_refused().get(name.lower(), "it is not on the list of functions that are allowed")
    return reason[0].lower() + reason[1:]


@cache
def _lower_allowed() -> frozenset[str]:
    return frozenset(map(str.lower, allowed_functions()))


def may_give_decimal(name: str) -> bool:
    """Whether an ordinary function may give a Decimal: any but those about time and text."""
    return name.lower() not in _lower_of_time_and_text()


@cache
def _lower_of_time_and_text() -> frozenset[str]:
    return _lower_in(_OF_TIME_AND_TEXT)


@cache
def _lower_aggregates() -> frozenset[str]:
    return _lower_in(_AGGREGATES)


def _lower_in(headings: frozenset[str]) -> frozenset[str]:
    sections = _sections("functions_allowed.txt")
    return frozenset(name.lower() for heading in headings for name in sections[heading])


@cache
def _lower_ordinary() -> frozenset[str]:
    return _lower_allowed() - _lower_aggregates()


@cache
def _lower_refused() -> dict[str, str]:
    return {name.lower(): reason for name, reason in refused_functions().items()}


def _sections(file: str) -> dict[str, list[str]]:
    """Names by the heading above them. Lines that begin with one `#` are comments."""
    text = files("api.sql").joinpath(file).read_text(encoding="utf-8")
    sections: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line and not line.startswith("#"):
            sections.setdefault(heading, []).extend(line.split())
    return sections
