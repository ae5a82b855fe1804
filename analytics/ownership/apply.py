"""What the rules say of workloads, from frame to frame. `analytics.answers` calls `owned` for every answer,
so that a file that was corrected corrects the past as well.

Pure functions. The trap: `team` and `application` of what comes in are what the workload says itself, which
rules may ask and overrule; a text that is empty is said by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

from analytics.ownership.globs import matching
from analytics.ownership.rules import MAPS, SAID, Placed, Ruleset, column_of, pieces_of
from analytics.queries import Asked

OWNED: Final = {name: f"owned_{name}" for name in SAID}
FROM: Final = {name: f"{name}_rule" for name in SAID}
_OWN: Final = {"team": "team", "application": "application", "environment": "environment", "cost_centre": ""}
"""The column of what a workload says itself."""


def asked_of(columns: Iterable[str]) -> list[Asked]:
    """The columns of labels and attributes, as `Ruleset.columns` names them, each once."""
    asked = []
    for name in dict.fromkeys(columns):
        kind, _, key = name.partition(".")
        asked.append(Asked(name, tuple(prefix + key for prefix in MAPS[kind])))
    return asked


def owned(workloads: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """The workloads with `owned_*`, what holds of each of `SAID`, and `*_rule`, the number of the rule that
    says it, null where none does.

    `workloads` has the columns of `rules.NAMES`, and one for each of `Ruleset.columns`.
    """
    missing = [name for name in ruleset.columns() if name not in workloads.columns]
    frame = workloads.with_columns(pl.lit("").alias(name) for name in missing)
    frame = frame.with_columns(_matched(placed).alias(f"match {placed.number}") for placed in ruleset.rules)
    texts, numbers = [], []
    for name in SAID:
        own = pl.col(_OWN[name]) if _OWN[name] else pl.lit("")
        said = [
            (placed, pl.when(pl.col(f"match {placed.number}")).then(_text(text)))
            for placed in ruleset.rules
            if (text := placed.rule.said().get(name)) is not None
        ]
        texts.append(pl.coalesce(*(text for _, text in said), own.fill_null("")).alias(OWNED[name]))
        ranks = [pl.when(text.is_not_null()).then(placed.number) for placed, text in said]
        numbers.append(pl.coalesce(*ranks, pl.lit(None, pl.Int32)).cast(pl.Int32).alias(FROM[name]))
    return frame.with_columns(*texts, *numbers).drop(f"match {placed.number}" for placed in ruleset.rules)


def _matched(placed: Placed) -> pl.Expr:
    conditions = [
        matching(pl.col(column_of(name)).fill_null(""), patterns)
        for name, patterns in placed.rule.match.conditions()
    ]
    return pl.all_horizontal(*conditions) if conditions else pl.lit(value=True)


def _text(text: str) -> pl.Expr:
    """What a rule says, with its references; null if one of them is empty."""
    parts = [
        pl.when(pl.col(column_of(part)) != "").then(pl.col(column_of(part))) if is_reference else pl.lit(part)
        for part, is_reference in pieces_of(text)
    ]
    return pl.concat_str(parts)
