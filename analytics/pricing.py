"""Puts sizes and prices to nodes and machines. Pure functions around the price book.

`cluster_costs` and `machine_costs` call these. The trap: what is the same for many nodes is looked up once,
since a book looked up by row would be the slowest part of the answer.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from analytics import dividing
from analytics.money import nano_usd
from analytics.prices import PriceBook

_KINDS: Final = ("provider", "region", "host_type", "capacity_type")
"""What the price of a node depends on, apart from its size and the day."""
_SPOT: Final = "spot"


def sized(nodes: pl.DataFrame, book: PriceBook, day: date) -> pl.DataFrame:
    """Nodes with a size, whether their type has a list price that day (`listed`), and whether they are spot
    and the book knows their price on demand only (`no_spot_price`); a type in the book fills in a size nobody
    told, and where there is none, what is allocatable is all there is.
    """
    rows = []
    for kind in nodes.select(_KINDS).unique().iter_rows():
        provider, region, host_type, capacity_type = kind
        spot = capacity_type == _SPOT
        price = book.machine(provider, region, host_type, day, spot=spot)
        size = (float(price.cores), float(price.memory_gib) * dividing.GIB) if price else (0.0, 0.0)
        found = price or book.by_size(Decimal(1), Decimal(1), day, provider, spot=spot)
        rows.append((*kind, found.listed, spot and not found.spot, *size))
    schema = dict.fromkeys(_KINDS, pl.String) | {
        "listed": pl.Boolean,
        "no_spot_price": pl.Boolean,
        "_cores": pl.Float64,
        "_bytes": pl.Float64,
    }
    sizes = pl.DataFrame(rows, schema=schema, orient="row")

    def told(column: str, instead: str) -> pl.Expr:
        return pl.when(pl.col(column) > 0).then(column).otherwise(instead).alias(column)

    return (
        nodes.join(sizes, on=list(_KINDS))
        .with_columns(told("cpu_capacity", "_cores"), told("memory_capacity", "_bytes"))
        # The Collector's k8s_cluster receiver tells what is allocatable, and no capacity.
        .with_columns(told("cpu_capacity", "cpu_allocatable"), told("memory_capacity", "memory_allocatable"))
        .with_columns(told("cpu_allocatable", "cpu_capacity"), told("memory_allocatable", "memory_capacity"))
        .drop("_cores", "_bytes")
        .filter((pl.col("cpu_capacity") > 0) & (pl.col("memory_capacity") > 0))
    )


def priced_hours(pieces: pl.DataFrame, nodes: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """What every hour of every node costs, see `dividing.node_hours`. `nodes` as `sized` returns them."""
    return dividing.node_hours(pieces, nodes, _prices(pieces, nodes, book))


def default_rates(held: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    found = held.select(day=pl.col("hour").dt.date()).unique()["day"].to_list()
    rows = [(day, *map(float, book.rates(day))) for day in found]
    return pl.DataFrame(
        rows, schema={"day": pl.Date, "cpu_rate": pl.Float64, "memory_rate": pl.Float64}, orient="row"
    )


def _prices(pieces: pl.DataFrame, nodes: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """An hour's price of every node and day. There are few different ones, so each is looked up once."""
    kinds = (*_KINDS, "cpu_capacity", "memory_capacity", "day")
    wanted = (
        pieces.select("node_id", day=pl.col("hour").dt.date())
        .unique()
        .join(nodes, on="node_id")
        .select("node_id", *kinds)
    )
    rows = []
    for kind in wanted.select(kinds).unique().iter_rows():
        provider, region, host_type, capacity_type, cores, memory, day = kind
        spot = capacity_type == _SPOT
        price = book.machine(provider, region, host_type, day, spot=spot) or book.by_size(
            Decimal(str(cores)), Decimal(str(memory / dividing.GIB)), day, provider, spot=spot
        )
        rates = book.rates(day, provider, spot=price.spot)
        rows.append((*kind, nano_usd(price.price), *map(float, rates)))
    schema = {name: wanted.schema[name] for name in kinds}
    prices = pl.DataFrame(
        rows,
        schema={**schema, "price_nano": pl.Int64, "cpu_rate": pl.Float64, "memory_rate": pl.Float64},
        orient="row",
    )
    return wanted.join(prices, on=list(kinds)).select(
        "node_id", "day", "price_nano", "cpu_rate", "memory_rate"
    )
