"""How a cost table treats what nobody bears, what everybody shares, and whom it is about. `analytics.cost`
groups what `shared_lines` returns.

The trap: with a filter, idle capacity is that of who is meant, and of what they bear of shared costs; the
rest is filtered away with its owners.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

import polars as pl

from analytics.errors import FilterError
from analytics.filters.columns import columns, matches
from analytics.filters.grammar import Filter, parse
from analytics.grouping import CostTerms, Split, Treatment
from analytics.lines import AMOUNTS, COSTS
from analytics.money import nano_usd
from analytics.sharing import ROW, SHARED, SharedOut, shared_out

CAPACITY: Final = ("idle", "system")
"""Kinds of lines that belong to a cluster and to nobody in it."""
RESOURCES: Final = ("cpu_nano", "memory_nano")
ADDED: Final = ("idle_nano", "system_nano", "shared_nano")
"""What a line bears beside its own, if the question asks for it."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which of CAPACITY is `spread` over lines instead of standing apart; whose costs are `shared` by all
    others, and how they and `overhead_nano` are `split`; and who is meant at all (`only`)."""

    spread: frozenset[str] = frozenset()
    shared: Filter | None = None
    split: Split = Split.WEIGHTED
    overhead_nano: int = 0
    only: Filter | None = None

    @classmethod
    def of(cls, terms: CostTerms, hours: Decimal, rate: Decimal) -> Self:
        """What the terms mean for a window of so many hours; `rate` are units of the shown currency for a US
        dollar. Raises FilterError."""
        found = cls(
            spread=frozenset(
                kind
                for kind, treated in (("idle", terms.idle), ("system", terms.system))
                if treated is Treatment.SHARED
            ),
            shared=_parsed("shared", terms.shared),
            split=terms.split,
            overhead_nano=nano_usd(terms.overhead / rate * hours),
            only=_parsed("filter", terms.filter),
        )
        for name, given in (("shared", found.shared), ("filter", found.only)):
            with _naming(name):
                matches(given)
        return found

    def columns(self) -> tuple[str, ...]:
        """The labels and attributes that it asks for, named as the ownership file's are."""
        return tuple(dict.fromkeys((*columns(self.shared), *columns(self.only))))

    def is_shared(self) -> pl.Expr:
        """Whether a workload's costs are shared. Raises FilterError."""
        return pl.lit(value=False) if self.shared is None else matches(self.shared)

    def is_meant(self) -> pl.Expr:
        """Whether the question is about a workload. Raises FilterError."""
        return matches(self.only)


AS_IT_IS: Final = Sharing()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say of which parameter an error is."""
    try:
        yield
    except FilterError as error:
        raise FilterError(f"{name}: {error}") from error


def _parsed(name: str, text: str) -> Filter | None:
    with _naming(name):
        return parse(text)


def shared_lines(lines: pl.DataFrame, key: pl.Expr, sharing: Sharing) -> pl.DataFrame:
    """The lines that are shown: `lines` with ADDED and `is_borne`, those of CAPACITY (one a cluster and
    kind) and, if nobody is there to take it, what was to be shared (`line` is shared).

    `lines` has the columns of LINE_SCHEMA and those of workloads; `key` is what they are grouped by.
    """
    is_borne = pl.col("workload_id").is_not_null()
    ordered = lines.sort("workload_id", "cluster", "line", nulls_last=True).with_columns(is_borne=is_borne)
    borne = ordered.filter("is_borne").with_columns(
        own_nano=pl.sum_horizontal(*COSTS), key=key, is_shared=sharing.is_shared()
    )
    free = ordered.filter(~pl.col("is_borne"))
    capacity = {
        kind: free.filter(pl.col("line") == kind).group_by("cluster").agg(pl.col(RESOURCES).sum())
        for kind in CAPACITY
    }
    found = shared_out(
        borne.with_row_index(ROW), capacity, bucket=["cluster"], resources=RESOURCES, how=sharing.split,
        overhead_nano=sharing.overhead_nano,
    )  # fmt: skip
    return _shown(found, sharing)


def _shown(found: SharedOut, sharing: Sharing) -> pl.DataFrame:
    nobody = found.left_lines.with_columns(line=pl.lit("shared"), is_borne=pl.lit(value=False))
    left = found.left_capacity
    if sharing.only is not None:
        nobody, left = nobody.clear(), {kind: frame.clear() for kind, frame in left.items()}
    rows = pl.concat([found.lines.filter(sharing.is_meant()), nobody])
    apart = [_apart(kind, rows, left[kind], is_spread=kind in sharing.spread) for kind in CAPACITY]
    spread = {kind: _parts(kind) if kind in sharing.spread else pl.lit(0, pl.Int64) for kind in CAPACITY}
    whole = rows.with_columns(
        idle_nano=spread["idle"],
        system_nano=spread["system"],
        shared_nano=pl.sum_horizontal(*SHARED),
        used_nano=pl.col("used_nano") + pl.col("shared_used_nano") + spread["system"],
    )
    return pl.concat([whole, *apart], how="diagonal").with_columns(pl.col(*AMOUNTS, *ADDED).fill_null(0))


def _parts(kind: str) -> pl.Expr:
    """What a line bears of a kind of capacity: its own part, and that of what is shared."""
    return pl.sum_horizontal(f"^(shared_)?{kind}_({'|'.join(RESOURCES)})$")


def _apart(kind: str, lines: pl.DataFrame, left: pl.DataFrame, *, is_spread: bool) -> pl.DataFrame:
    """A line a cluster of what the lines bear of a kind of capacity, unless that is spread over them, and of
    what nobody does."""
    is_something = pl.any_horizontal(pl.col(RESOURCES) != 0)
    parts = (pl.sum_horizontal(f"^(shared_)?{kind}_{name}$").alias(name) for name in RESOURCES)
    of_lines = lines.select("cluster", *parts).filter(is_something & pl.lit(not is_spread))
    left = left.filter(is_something) if is_spread else left
    # What the system keeps counts as used, since nobody measures it.
    used = pl.sum_horizontal(*RESOURCES) if kind == "system" else pl.lit(0, pl.Int64)
    return (
        pl.concat([of_lines, left.select("cluster", *RESOURCES)])
        .group_by("cluster")
        .agg(pl.col(RESOURCES).sum())
        .with_columns(line=pl.lit(kind), is_borne=pl.lit(value=False), used_nano=used)
    )
