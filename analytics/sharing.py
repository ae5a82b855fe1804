"""Shares out idle capacity and what is shared: OpenCost's algebra, done right where a filter, sharing and
idle capacity meet. `analytics.cost` calls `shared_out` with the lines of a window. Pure, over whole nano-USD.

Idle capacity goes to who bears a resource of its cluster, in proportion, shared lines too. What is shared
goes to all others, in proportion to their own costs or evenly by key, and takes its idle capacity along. Only
then is anything filtered away: a line never bears more because others are not looked at. So selected and
filtered away together are always what was divided, and idle capacity told apart is the same money as idle
capacity shared out (OpenCost's issue 1124: its test 6e, where 74.7708 is right).

The trap: amounts are split by largest remainder, once each; nothing here is multiplied by a share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from analytics.grouping import Split
from analytics.money import split

ROW: Final = "row"
"""A column that is unique in a frame of lines, and decides who gets what is left over by rounding."""
SHARED: Final = ("shared_used_nano", "shared_unused_nano")


@dataclass(frozen=True, slots=True)
class SharedOut:
    """What became of lines. `lines` are those that were not shared, with SHARED, and for each kind of
    capacity and each resource `<kind>_<resource>` and `shared_<kind>_<resource>`. `left_capacity` is, by
    kind, what is left of it because nobody bears the resource; `left_lines` were to be shared, and nobody was
    there to take them.
    """

    lines: pl.DataFrame
    left_capacity: Mapping[str, pl.DataFrame]
    left_lines: pl.DataFrame


def shared_out(
    lines: pl.DataFrame,
    capacity: Mapping[str, pl.DataFrame],
    *,
    bucket: Sequence[str],
    resources: Sequence[str],
    how: Split,
    overhead_nano: int = 0,
) -> SharedOut:
    """What every line bears beside its own.

    `lines` holds ROW, the columns of `bucket`, amounts of `resources` (nano-USD), `own_nano` (all it costs),
    `used_nano` (of it), `key` and `is_shared`. `capacity` holds, by kind (idle, system), `bucket` and
    `resources`: what nobody bears yet, one row a bucket. `overhead_nano` is shared as lines are. Lines of one
    `key` take one even share together, by their own costs.
    """
    borne, left = lines, {}
    for kind, free in capacity.items():
        borne, left[kind] = _with_capacity(borne, kind, free, bucket, resources)
    takers, given = borne.filter(~pl.col("is_shared")), borne.filter("is_shared")
    pots = {
        "shared_used_nano": int(given["used_nano"].sum()) + overhead_nano,
        "shared_unused_nano": int((given["own_nano"] - given["used_nano"]).sum()),
    }
    for kind in capacity:
        pots |= {f"shared_{kind}_{name}": int(given[f"{kind}_{name}"].sum()) for name in resources}
    if takers.is_empty():
        nothing = [pl.lit(0, pl.Int64).alias(name) for name in pots]
        return SharedOut(takers.with_columns(nothing), left, given.with_columns(nothing))
    for name, pot in pots.items():
        takers = _poured(takers, pot, how, name)
    return SharedOut(takers, left, takers.clear())


def _with_capacity(
    lines: pl.DataFrame, kind: str, free: pl.DataFrame, bucket: Sequence[str], resources: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines with their parts of a kind of capacity, and that of which nobody bears the resource."""
    by = list(bucket)
    whole = lines.group_by(by).agg(pl.col(resources).clip(0).sum().name.prefix("_sum_"))
    known = free.join(whole, on=by, how="left").with_columns(pl.col("^_sum_.*$").fill_null(0))
    taken, left = [], []
    for name in resources:
        is_taken = pl.col(f"_sum_{name}") > 0
        taken.append(pl.when(is_taken).then(name).otherwise(0).alias(f"_free_{name}"))
        left.append(pl.when(is_taken).then(0).otherwise(name).alias(name))
    parts = lines.join(known.select(*by, *taken), on=by, how="left").with_columns(
        pl.col("^_free_.*$").fill_null(0)
    )
    for name in resources:
        # A line that is worth less than nothing, as an adjustment may be, takes nothing.
        parts = parts.with_columns(_size=pl.col(name).clip(0))
        parts = split(parts, amount=f"_free_{name}", by=by, weights="_size", ties=ROW, name=f"{kind}_{name}")
    return parts.drop("^_free_.*$", "_size").sort(ROW), known.select(*by, *left)


def _poured(takers: pl.DataFrame, pot: int, how: Split, name: str) -> pl.DataFrame:
    """The takers with their part of the pot as `name`."""
    whole = {"_pot": pl.lit(pot, pl.Int64), "_all": pl.lit(0)}
    sized = takers.with_columns(_size=pl.col("own_nano").clip(0), **whole)
    by = "_all"
    if how is Split.EVEN:
        by = "key"
        keys = takers.group_by("key").agg(pl.col(ROW).min()).with_columns(_one=1, **whole)
        shares = split(keys, amount="_pot", by=["_all"], weights="_one", ties=ROW, name="_share")
        sized = sized.drop("_pot").join(shares.select("key", _pot="_share"), on="key", nulls_equal=True)
    divided = split(sized, amount="_pot", by=[by], weights="_size", ties=ROW, name=name)
    return divided.drop("_size", "_pot", "_all").sort(ROW)
