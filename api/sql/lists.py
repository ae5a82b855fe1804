"""What statements from outside may name: functions, table functions, and the tables beside Lowtide's own.

The functions are read from `functions_allowed.txt`; the reasons of refusals from `functions_refused.txt`.
Asked by the guard. The trap: aggregate functions take suffixes (`sumIf`, `quantileMergeState`), so a name is
allowed if what is left without them is.
"""

from __future__ import annotations

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


def reason_against(name: str) -> str:
    """Why a function is refused, in a few words."""
    reason = _lower_refused().get(name.lower(), "it is not on the list of functions that are allowed")
    return reason[0].lower() + reason[1:]


@cache
def _lower_allowed() -> frozenset[str]:
    return frozenset(map(str.lower, allowed_functions()))


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
        elif not line.startswith("#"):
            sections.setdefault(heading, []).extend(line.split())
    return sections
