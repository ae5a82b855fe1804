"""What a day of virtual machines cost: every machine-hour, divided over its services. Pure functions.

`analytics.costing` calls `machine_costs`. The trap: a service may be known on a machine from its process
metrics, or only from the resource of its traces and logs; the second kind says when, but not how much.
"""

from __future__ import annotations

import polars as pl

from analytics import clock, machines
from analytics.lines import (
    DEFAULT_RATES,
    NO_SPOT_PRICE,
    DayCosts,
    by_hour,
    named,
    node_hours,
    nothing_but,
    remarks,
)
from analytics.prices import PriceBook
from analytics.pricing import priced_hours
from analytics.samples import Samples


def machine_costs(
    samples: Samples, hosts: pl.DataFrame, slots: pl.DataFrame, owners: pl.DataFrame, book: PriceBook
) -> DayCosts:
    """The lines of services on machines, and of machines on which none is seen.

    `hosts` are the machines as `pricing.sized` returns nodes, `slots` are cut to the day.
    """
    pieces = clock.by_hour(slots)
    hours = priced_hours(pieces, hosts, book)
    tenants, names = _tenants(samples.host_services, hours, hosts, owners)
    lines = machines.machine_lines(hours, tenants, _usage(samples, hosts))
    there = pieces.join(hosts.select("node_id"), on="node_id", how="semi")
    seen = hosts.join(there, on="node_id", how="semi")
    times = there.group_by("node_id", "hour").agg(
        paid_from=pl.col("begin").min(), paid_until=pl.col("end").max()
    )
    return DayCosts(
        lines=by_hour(
            lines.join(times, on=["node_id", "hour"])
            .join(hosts.select("node_id", "node"), on="node_id")
            .with_columns(
                cluster=pl.lit(""),
                line=pl.lit("machine"),
                **nothing_but("cpu_nano", "memory_nano", "used_nano"),
            )
        ),
        names=names,
        nodes=node_hours(there, hours, hosts, hosts),
        remarks=remarks(
            {
                DEFAULT_RATES: seen.filter(~pl.col("listed"))["node"],
                NO_SPOT_PRICE: seen.filter("no_spot_price")["node"],
            }
        ),
    )


def _tenants(
    services: pl.DataFrame, hours: pl.DataFrame, hosts: pl.DataFrame, owners: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Who is on each machine in each hour, with its CPU time; and the names of those seen nowhere else.

    Services are known from their process metrics, or from the resources of their traces and logs. In an
    hour in which no service is seen on it, a machine bears its cost itself, as a workload of the kind Host.
    """
    seen = (
        owners.filter(pl.col("workload_kind").is_in(["Service", "Host"]))
        .explode("hosts")
        .join(hosts.select("node_id", hosts="node"), on="hosts")
    )
    there = (pl.col("hour").dt.offset_by("1h") > pl.col("first_seen_at")) & (
        pl.col("hour") <= pl.col("last_seen_at")
    )
    by_resource = (
        hours.select("node_id", "hour")
        .join(
            seen.select("node_id", "workload_id", "workload_kind", "first_seen_at", "last_seen_at"),
            on="node_id",
        )
        .filter(there)
        .select("node_id", "hour", "workload_id", "workload_kind", cpu_s=pl.lit(0.0))
    )
    measured = (
        machines.cpu_time_hours(services)
        .join(services.select("workload_id", "workload_kind").unique("workload_id"), on="workload_id")
        .join(hours.select("node_id", "hour"), on=["node_id", "hour"], how="semi")
    )
    found = (
        pl.concat([measured.select(by_resource.columns), by_resource])
        .group_by("node_id", "hour", "workload_id", "workload_kind")
        .agg(pl.col("cpu_s").sum())
    )
    is_service = pl.col("workload_kind") == "Service"
    found = found.filter(is_service | ~is_service.any().over("node_id", "hour"))
    empty = hours.select("node_id", "hour").join(found, on=["node_id", "hour"], how="anti")
    itself = empty.join(hosts.select("node_id", "node"), on="node_id").with_columns(
        workload_id=pl.struct("node").hash(seed=2), cpu_s=pl.lit(0.0), cluster=pl.lit(""),
        environment=pl.lit(""), namespace=pl.lit(""), workload_kind=pl.lit("Host"),
        workload_name=pl.col("node"),
    )  # fmt: skip
    tenants = pl.concat([found, itself.select(found.columns)]).drop("workload_kind")
    return tenants, named([services.with_columns(cluster=pl.lit("")), seen, itself])


def _usage(samples: Samples, hosts: pl.DataFrame) -> pl.DataFrame:
    """Mean cores and bytes in use, by machine and hour; what its processes use where it tells no memory
    itself.
    """
    own = (
        samples.node_minutes.join(hosts.select("node_id", "cpu_capacity"), on="node_id")
        .with_columns(cpu_usage=pl.coalesce("cpu_usage", pl.col("busy_share") * pl.col("cpu_capacity")))
        .group_by("node_id", hour=pl.col("minute").dt.truncate("1h"))
        .agg(pl.col("cpu_usage").mean(), pl.col("memory_usage").mean())
    )
    processes = (
        samples.host_services.group_by(
            "node_id", "workload_id", "counter", hour=pl.col("minute").dt.truncate("1h")
        )
        .agg(pl.col("memory_usage").mean())
        .group_by("node_id", "hour")
        .agg(of_processes=pl.col("memory_usage").sum())
        .with_columns(of_processes=pl.when(pl.col("of_processes") > 0).then("of_processes"))
    )
    return (
        own.join(processes, on=["node_id", "hour"], how="left")
        .with_columns(memory_usage=pl.coalesce("memory_usage", "of_processes"))
        .drop("of_processes")
    )
