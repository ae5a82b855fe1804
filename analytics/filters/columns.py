"""What a filter asks of workloads, as an expression over `analytics.cost.identified`. `analytics.cost` and
`analytics.answers` call this.

The traps: `unowned`, `platform` and the like are names here as they are in a table; and a label that a
workload does not have is an empty text, so that `label[tier]!:"gold"` holds of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import and_, or_
from typing import Final

import polars as pl

from analytics.errors import FilterError
from analytics.filters.grammar import Comparison, Filter, Joined, Operator

FIELDS: Final[Mapping[str, str]] = {
    "cluster": "cluster",
    "namespace": "namespace",
    "kind": "workload_kind",
    "workload": "workload_name",
    "service": "service",
    "team": "team",
    "application": "application",
    "environment": "owned_environment",
    "cost_centre": "cost_centre",
}
"""What can be asked, and the column that has it."""
OTHER_NAMES: Final[Mapping[str, str]] = {
    "controllerKind": "kind",
    "controllerName": "workload",
    "services": "service",
    "costCentre": "cost_centre",
}
"""What OpenCost calls them, and our API where it is not OpenCost's."""
BY_KEY: Final[Mapping[str, str]] = {
    "label": "labels",
    "namespaceLabel": "namespace_labels",
    "attribute": "attributes",
}
"""What can be asked by key, and what the ownership file calls it (`analytics.ownership.rules.MAPS`)."""
_UNALLOCATED: Final = "__unallocated__"
"""OpenCost's word for: has none."""
_COMPARE: Final[Mapping[Operator, Callable[[pl.Expr, str], pl.Expr]]] = {
    Operator.IS: lambda column, value: column == value,
    Operator.CONTAINS: lambda column, value: column.str.contains(value, literal=True),
    Operator.BEGINS: lambda column, value: column.str.starts_with(value),
    Operator.ENDS: lambda column, value: column.str.ends_with(value),
}


def columns(found: Filter | None) -> tuple[str, ...]:
    """The columns it needs beside those of every workload, named as the ownership file's are."""
    asked = (_column(each) for each in _comparisons(found) if each.key)
    return tuple(dict.fromkeys(asked))


def matches(found: Filter | None) -> pl.Expr:
    """Whether a workload is meant; everybody, without a filter. Raises FilterError for a field that is not
    known."""
    if found is None:
        return pl.lit(value=True)
    if isinstance(found, Joined):
        return reduce(and_ if found.every else or_, (matches(part) for part in found.parts))
    column = pl.col(_column(found)).fill_null("")
    values = [_value(found, value) for value in found.values]
    if _column(found) == FIELDS["kind"]:  # OpenCost writes deployment, Kubernetes Deployment
        column, values = column.str.to_lowercase(), [value.lower() for value in values]
    any_of = reduce(or_, (_COMPARE[found.operator](column, value) for value in values))
    return any_of.not_() if found.negated else any_of


def _comparisons(found: Filter | None) -> Iterator[Comparison]:
    if isinstance(found, Joined):
        for part in found.parts:
            yield from _comparisons(part)
    elif found is not None:
        yield found


def _value(found: Comparison, value: str) -> str:
    return "" if value == _UNALLOCATED and found.operator is Operator.IS else value


def _column(found: Comparison) -> str:
    name = OTHER_NAMES.get(found.field, found.field)
    if name in BY_KEY:
        if not found.key:
            raise FilterError(f"at character {found.at + 1}: {name} needs a key, as in {name}[app]")
        return f"{BY_KEY[name]}.{found.key}"
    if name not in FIELDS:
        known = ", ".join([*FIELDS, *(f"{each}[KEY]" for each in BY_KEY)])
        raise FilterError(f"at character {found.at + 1}: there is no field {found.field}; there are {known}")
    if found.key:
        raise FilterError(f"at character {found.at + 1}: {name} has no keys")
    return FIELDS[name]
