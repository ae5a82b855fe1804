"""Puts sizes and prices to nodes and machines. Pure functions around the price book.

`cluster_costs` and `machine_costs` call these. The trap: what is the same for many nodes is looked up once,
since a book looked up by row would be the slowest part of the answer.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl

from analytics import ledger
from analytics.money import nano_usd
from analytics.prices import PriceBook


def sized(nodes: pl.DataFrame, book: PriceBook, day: date) -> pl.DataFrame:
    """Nodes with a size and whether their type has a list price that day; a type in the book fills in a size
    nobody told.
    """
    kinds = ("provider", "region", "host_type")
    rows = []
    for provider, region, host_type in nodes.select(kinds).unique().iter_rows():
        price = book.machine(provider, region, host_type, day)
        size = (float(price.cores), float(price.memory_gib) * ledger.GIB) if price else (0.0, 0.0)
        rows.append((provider, region, host_type, price is not None, *size))
    schema = dict.fromkeys(kinds, pl.String) | {
        "listed": pl.Boolean,
        "_cores": pl.Float64,
        "_bytes": pl.Float64,
    }
    sizes = pl.DataFrame(rows, schema=schema, orient="row")

    def told(column: str, instead: str) -> pl.Expr:
        return pl.when(pl.col(column) > 0).then(column).otherwise(instead).alias(column)

    return (
        nodes.join(sizes, on=list(kinds))
        .with_columns(told("cpu_capacity", "_cores"), told("memory_capacity", "_bytes"))
        .with_columns(told("cpu_allocatable", "cpu_capacity"), told("memory_allocatable", "memory_capacity"))
        .drop("_cores", "_bytes")
        .filter((pl.col("cpu_capacity") > 0) & (pl.col("memory_capacity") > 0))
    )


def node_hours(pieces: pl.DataFrame, nodes: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """What every hour of every node costs, see `ledger.node_hours`. `nodes` as `sized` returns them."""
    return ledger.node_hours(pieces, nodes, _prices(pieces, nodes, book))


def default_rates(held: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    found = held.select(day=pl.col("hour").dt.date()).unique()["day"].to_list()
    rows = [(day, *map(float, book.rates(day))) for day in found]
    return pl.DataFrame(
        rows, schema={"day": pl.Date, "cpu_rate": pl.Float64, "memory_rate": pl.Float64}, orient="row"
    )


def _prices(pieces: pl.DataFrame, nodes: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """An hour's price of every node and day. There are few different ones, so each is looked up once."""
    size = ("cpu_capacity", "memory_capacity")
    kinds = ("provider", "region", "host_type", *size, "day")
    wanted = (
        pieces.select("node_id", day=pl.col("hour").dt.date())
        .unique()
        .join(nodes, on="node_id")
        .select("node_id", *kinds)
    )
    rows = []
    for provider, region, host_type, cores, memory, day in wanted.select(kinds).unique().iter_rows():
        price = book.machine(provider, region, host_type, day) or book.by_size(
            Decimal(str(cores)), Decimal(str(memory / ledger.GIB)), day, provider
        )
        rates = book.rates(day, provider)
        rows.append(
            (provider, region, host_type, cores, memory, day, nano_usd(price.price), *map(float, rates))
        )
    schema = {name: wanted.schema[name] for name in kinds}
    prices = pl.DataFrame(
        rows,
        schema={**schema, "price_nano": pl.Int64, "cpu_rate": pl.Float64, "memory_rate": pl.Float64},
        orient="row",
    )
    return wanted.join(prices, on=list(kinds)).select(
        "node_id", "day", "price_nano", "cpu_rate", "memory_rate"
    )
