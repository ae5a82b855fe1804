"""What a day's persistent volumes cost, and who bears it: the workloads whose pods mount them. Pure
functions.

`analytics.costing` calls `volume_costs`. A volume costs its size at the price of its kind for every hour in
which kube-state-metrics names it. The trap: what nobody mounts is paid for as well. It stays with its claim,
in the namespace of that, and what nobody claims with itself, as a workload of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import polars as pl

from analytics.lines import (
    DEFAULT_VOLUME,
    NO_VOLUME_PRICE,
    DayCosts,
    by_hour,
    named,
    nothing_but,
    remarks,
)
from analytics.money import SECONDS_PER_HOUR, nano_usd, split
from analytics.prices import PriceBook
from analytics.window import Window

CLAIM: Final = "PersistentVolumeClaim"
VOLUME: Final = "PersistentVolume"
"""Kinds of workloads that are none: they bear what nobody uses."""
_GIB: Final = 1024**3
_THING: Final = ("cluster", "volume", "hour")
_WHO: Final = ("workload_id", "workload_kind", "workload_name")


def volume_costs(
    volumes: pl.DataFrame,
    mounts: pl.DataFrame,
    containers: pl.DataFrame,
    nodes: pl.DataFrame,
    day: Window,
    book: PriceBook,
) -> DayCosts:
    """The lines of volumes. `volumes` and `mounts` as the queries volume_hours and volume_mounts return them,
    `containers` and `nodes` as those of their names: who a pod belongs to, and where a cluster is.
    """
    hours = _within(volumes, day).join(_places(nodes), on="cluster", how="left")
    found = _priced(hours.with_columns(pl.col("provider", "region").fill_null("")), book)
    priced = found.filter(pl.col("hour_nano").is_not_null()).with_columns(total_nano=_of_the_seconds())
    borne = _borne(priced, _mounting(mounts, containers))
    return DayCosts(
        lines=by_hour(
            borne.with_columns(
                node=pl.lit(""),
                line=pl.lit("volume"),
                used_nano=pl.when(pl.col("workload_kind").is_in([CLAIM, VOLUME]))
                .then(pl.lit(0, pl.Int64))
                .otherwise("storage_nano"),
                **nothing_but("storage_nano", "used_nano"),
            )
        ),
        names=named([borne.with_columns(environment=pl.lit(""))]),
        volumes=priced.select("hour", "cluster", "volume", nano="total_nano"),
        remarks=remarks(
            {
                DEFAULT_VOLUME: priced.filter(~pl.col("listed"))["volume"],
                NO_VOLUME_PRICE: found.filter(pl.col("hour_nano").is_null())["volume"],
            }
        ),
    )


def _within(volumes: pl.DataFrame, day: Window) -> pl.DataFrame:
    """The volumes with the `seconds` of each hour that lie in the day."""
    end = pl.min_horizontal(pl.col("hour").dt.offset_by("1h"), pl.lit(day.end))
    begin = pl.max_horizontal("hour", pl.lit(day.start))
    return volumes.with_columns(seconds=(end - begin).dt.total_seconds()).filter(pl.col("seconds") > 0)


def _places(nodes: pl.DataFrame) -> pl.DataFrame:
    """`cluster, provider, region` of clusters, empty where its nodes do not all say the same."""

    def only(name: str) -> pl.Expr:
        told = pl.col(name).filter(pl.col(name) != "")
        return pl.when(told.n_unique() == 1).then(told.first()).otherwise(pl.lit("")).alias(name)

    return nodes.group_by("cluster").agg(only("provider"), only("region"))


def _priced(hours: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """The volumes with `hour_nano`, what a whole hour costs (null: nobody knows), and `listed`. There are few
    different ones, so each is looked up once.
    """
    wanted = hours.with_columns(day=pl.col("hour").dt.date(), names=pl.col("skus").list.join("\n"))
    kinds = ("provider", "region", "names", "capacity_bytes", "day")
    rows = []
    for kind in wanted.select(kinds).unique().iter_rows():
        provider, region, names, capacity_bytes, day = kind
        price = book.volume(provider, region, names.split("\n"), day)
        hourly = None if price is None else nano_usd(price.per_gib_hour * Decimal(capacity_bytes) / _GIB)
        rows.append((*kind, hourly, price is not None and price.listed))
    schema = {name: wanted.schema[name] for name in kinds} | {"hour_nano": pl.Int64, "listed": pl.Boolean}
    prices = pl.DataFrame(rows, schema=schema, orient="row")
    return wanted.join(prices, on=list(kinds))


def _of_the_seconds() -> pl.Expr:
    return (pl.col("hour_nano") * pl.col("seconds") + SECONDS_PER_HOUR // 2) // SECONDS_PER_HOUR


def _mounting(mounts: pl.DataFrame, containers: pl.DataFrame) -> pl.DataFrame:
    """Workloads by claim and hour, with how many `pods` of theirs mount it. Who a pod belongs to is what its
    containers' samples say, where it has any, so that a workload is one for all its costs.
    """
    pod = ("cluster", "namespace", "pod")
    known = containers.select(*pod, *_WHO).unique(pod)
    return (
        mounts.join(known, on=pod, how="left", suffix="_known")
        .with_columns(pl.coalesce(f"{name}_known", name).alias(name) for name in _WHO)
        .group_by("cluster", "namespace", "claim", "hour", *_WHO)
        .agg(pods=pl.col("pod").n_unique())
    )


def _borne(priced: pl.DataFrame, mounting: pl.DataFrame) -> pl.DataFrame:
    """What each workload bears of each volume and hour (`storage_nano`), by its share of the pods that mount
    it; what nobody mounts is borne by its claim, or by itself.
    """
    where = ["cluster", "namespace", "claim", "hour"]
    alone = priced.join(mounting, on=where, how="anti").with_columns(
        workload_kind=pl.when(pl.col("claim") != "").then(pl.lit(CLAIM)).otherwise(pl.lit(VOLUME)),
        workload_name=pl.when(pl.col("claim") != "").then("claim").otherwise("volume"),
        pods=pl.lit(1, mounting.schema["pods"]),
    )
    itself = pl.struct("cluster", "namespace", "workload_kind", "workload_name").hash(seed=3)
    alone = alone.with_columns(workload_id=itself)
    columns = [*_THING, "namespace", *_WHO, "pods", "total_nano"]
    shared = pl.concat([priced.join(mounting, on=where).select(columns), alone.select(columns)])
    return split(
        shared, amount="total_nano", by=_THING, weights="pods", ties="workload_id", name="storage_nano"
    )
