"""Adds hours up: what a span of time cost, whatever it is made of. Pure functions.

`analytics.answers` adds the days of a window as they are priced, so that only one of them is in memory by the
hour. The trap: totals are added again and again, so that adding must not depend on the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Self

import polars as pl

from analytics.lines import (
    AMOUNTS,
    LINE_SCHEMA,
    NAME_SCHEMA,
    NODE_HOUR_SCHEMA,
    REMARK_SCHEMA,
    VOLUME_HOUR_SCHEMA,
    DayCosts,
    Schema,
    named,
)
from analytics.queries import TIME

PAID_SCHEMA: Final[Schema] = {"workload_id": pl.UInt64, "paid_from": TIME, "paid_until": TIME}
NODE_TOTAL_SCHEMA: Final[Schema] = {name: of for name, of in NODE_HOUR_SCHEMA.items() if name != "hour"}
VOLUME_TOTAL_SCHEMA: Final[Schema] = {name: of for name, of in VOLUME_HOUR_SCHEMA.items() if name != "hour"}


@dataclass(frozen=True, slots=True)
class Totals:
    """What a span of time cost: `lines` (LINE_SCHEMA), what they are called (`names`, NAME_SCHEMA), from when
    to when each workload ran (`paid`, PAID_SCHEMA), what each node (NODE_TOTAL_SCHEMA) and each volume
    (VOLUME_TOTAL_SCHEMA) cost, and `remarks` (REMARK_SCHEMA).
    """

    lines: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=LINE_SCHEMA))
    names: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=NAME_SCHEMA))
    paid: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=PAID_SCHEMA))
    nodes: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=NODE_TOTAL_SCHEMA))
    volumes: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=VOLUME_TOTAL_SCHEMA))
    remarks: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=REMARK_SCHEMA))

    @classmethod
    def of(cls, day: DayCosts) -> Self:
        """A day without its hours."""
        return cls._added(
            lines=[day.lines],
            names=[day.names],
            paid=[day.lines.filter(pl.col("workload_id").is_not_null() & pl.col("paid_from").is_not_null())],
            nodes=[day.nodes],
            volumes=[day.volumes],
            remarks=[day.remarks],
        )

    @classmethod
    def added(cls, parts: Iterable[Totals]) -> Self:
        """All of them together."""
        found = list(parts)
        return cls._added(
            lines=[part.lines for part in found],
            names=[part.names for part in found],
            paid=[part.paid for part in found],
            nodes=[part.nodes for part in found],
            volumes=[part.volumes for part in found],
            remarks=[part.remarks for part in found],
        )

    @classmethod
    def _added(
        cls,
        *,
        lines: Iterable[pl.DataFrame],
        names: Iterable[pl.DataFrame],
        paid: Iterable[pl.DataFrame],
        nodes: Iterable[pl.DataFrame],
        volumes: Iterable[pl.DataFrame],
        remarks: Iterable[pl.DataFrame],
    ) -> Self:
        return cls(
            lines=_all(lines, LINE_SCHEMA)
            .group_by("workload_id", "cluster", "line")
            .agg(pl.col(AMOUNTS).sum()),
            names=named(names),
            paid=_all(paid, PAID_SCHEMA)
            .group_by("workload_id")
            .agg(pl.col("paid_from").min(), pl.col("paid_until").max()),
            nodes=_all(nodes, NODE_TOTAL_SCHEMA)
            .group_by("node_id", "cluster", "node")
            .agg(
                pl.col("host_type").max(),
                pl.col("begin").min(),
                pl.col("end").max(),
                pl.col("seconds", "cpu_nano", "memory_nano").sum(),
            )
            .sort("cluster", "node", "node_id"),
            volumes=_all(volumes, VOLUME_TOTAL_SCHEMA)
            .group_by("cluster", "volume")
            .agg(pl.col("nano").sum())
            .sort("cluster", "volume"),
            remarks=_all(remarks, REMARK_SCHEMA).unique().sort("remark", "name"),
        )

    @property
    def functions_nano(self) -> int:
        """What all functions cost."""
        return int(self.lines["functions_nano"].sum())

    @property
    def nodes_nano(self) -> int:
        """What all nodes cost."""
        return int(self.nodes["cpu_nano"].sum()) + int(self.nodes["memory_nano"].sum())

    @property
    def volumes_nano(self) -> int:
        """What all volumes cost."""
        return int(self.volumes["nano"].sum())

    @property
    def covered_s(self) -> int:
        """Node-seconds known from samples."""
        return int(self.nodes["seconds"].sum())

    @property
    def present_s(self) -> int:
        """Node-seconds between each node's first and last."""
        return int((self.nodes["end"] - self.nodes["begin"]).dt.total_seconds().sum())

    @property
    def first_at(self) -> datetime | None:
        """When samples begin to tell of any node."""
        first = self.nodes["begin"].min()
        return first if isinstance(first, datetime) else None

    def named_by(self, remark: str) -> tuple[str, ...]:
        """The names of which there is this to remark, in order."""
        return tuple(self.remarks.filter(pl.col("remark") == remark)["name"])


def _all(frames: Iterable[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    found = [frame.select(list(schema)) for frame in frames]
    return pl.concat([pl.DataFrame(schema=dict(schema)), *found], how="vertical_relaxed")
