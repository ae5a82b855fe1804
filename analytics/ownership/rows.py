"""Who owns what, as rows: from the frames of an answer to its documents. Pure functions; called by
`analytics.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.costing import CostLines
from analytics.lines import COSTS
from analytics.money import usd
from analytics.ownership.apply import FROM
from analytics.ownership.documents import OwnerExplained, OwnerRow, RuleTried
from analytics.ownership.explain import tried
from analytics.ownership.rules import NAMES, SAID, Placed, Ruleset

OWN: Final = "its own attributes"
_PLACEHOLDERS: Final = ("", "unowned", "platform")
_COLUMNS: Final = {"environment": "owned_environment"}


def with_costs(workloads: pl.DataFrame, costs: CostLines) -> pl.DataFrame:
    """`workloads` as `cost.identified` returns them, with `cost_nano`, the most expensive first."""
    borne = costs.lines.group_by("workload_id").agg(cost_nano=pl.sum_horizontal(*COSTS).sum())
    return (
        workloads.join(borne, on="workload_id", how="left")
        .with_columns(pl.col("cost_nano").fill_null(0))
        .sort("cost_nano", "cluster", "namespace", "workload_name", descending=[True, False, False, False])
    )


def owner_rows(costed: pl.DataFrame, ruleset: Ruleset, rate: Decimal) -> tuple[OwnerRow, ...]:
    """The rows of `with_costs`; `rate` are units of the shown currency for a US dollar."""
    placed = {one.number: one for one in ruleset.rules}
    return tuple(_row(row, placed, rate) for row in costed.iter_rows(named=True))


def explained(
    costed: pl.DataFrame, described: pl.DataFrame, ruleset: Ruleset, service: str, rate: Decimal
) -> tuple[OwnerExplained, ...]:
    """The workloads with this name, their service's or their own, and what every rule says of them.

    `described` as `cost.described` returns it.
    """
    named = costed.filter(
        (pl.col("service") == service)
        | (pl.col("service_shown") == service)
        | (pl.col("workload_name") == service)
    )
    said = {row["workload_id"]: row for row in described.iter_rows(named=True)}
    rows = owner_rows(named, ruleset, rate)
    return tuple(
        _explained(owner, said[workload_id], ruleset)
        for owner, workload_id in zip(rows, named["workload_id"], strict=True)
    )


def unused_rules(workloads: pl.DataFrame, ruleset: Ruleset) -> tuple[str, ...]:
    """Rules that say nothing of any of the workloads that would count."""
    used = {number for column in FROM.values() for number in workloads[column].drop_nulls()}
    return tuple(placed.shown for placed in ruleset.rules if placed.number not in used)


def _row(row: Mapping[str, Any], placed: Mapping[int, Placed], rate: Decimal) -> OwnerRow:
    whose = {name: row[_COLUMNS.get(name, name)] for name in SAID}
    told_by = {}
    for name, text in whose.items():
        number = row[FROM[name]]
        if number is not None:
            told_by[name] = placed[number].shown
        elif text not in _PLACEHOLDERS:
            told_by[name] = OWN
    return OwnerRow(
        name="/".join(filter(None, (row["cluster"], row["namespace"], row["workload_name"]))),
        kind=row["workload_kind"],
        cluster=row["cluster"],
        namespace=row["namespace"],
        service_namespace=row["service_namespace"],
        service=row["service"],
        **whose,
        told_by=told_by,
        cost=usd(row["cost_nano"]) * rate,
    )


def _explained(owner: OwnerRow, said: Mapping[str, Any], ruleset: Ruleset) -> OwnerExplained:
    names = {**NAMES, **{name: name for name in ruleset.columns()}}
    return OwnerExplained(
        owner=owner,
        known={name: str(said[column]) for name, column in names.items()},
        tried=tuple(
            RuleTried(
                rule=one.placed.rule.name or str(one.placed.number),
                line=one.placed.line,
                matches=not one.why_not,
                why_not=one.why_not,
                says=dict(one.says),
                counts=tuple(one.counts),
            )
            for one in tried(said, ruleset)
        ),
    )
