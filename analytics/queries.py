"""Runs the queries in `analytics/sql/` and gives their frames. The only place in analytics that meets the
store.

Times come back as aware UTC, texts as plain strings. The trap: a query over an empty table gives a frame
without rows, and its columns must still have the types that the pure functions expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import polars as pl

from analytics.settings import AnalyticsSettings
from ingest.store.sql import load_sql

TIME: Final = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Asked:
    """A column of `owners`: a name, and the resource attributes of which the first with a value counts."""

    name: str
    attributes: tuple[str, ...]


class Session(Protocol):
    """What analytics needs of the store's session (`ingest.store.engine.Session`)."""

    def frame(self, sql: str, params: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The rows of a query; values are bound as `{name:Type}`."""


def read(session: Session, query: str, tenant: str, **params: object) -> pl.DataFrame:
    """The frame of the query `analytics/sql/<query>.sql`."""
    bound = {name: _bound(value) for name, value in params.items()}
    return normalised(session.frame(load_sql("analytics", query), {"tenant": tenant, **bound}))


def read_range(session: Session, query: str, tenant: str, start: datetime, end: datetime) -> pl.DataFrame:
    """As `read`, for a query over a range of time."""
    return read(session, query, tenant, start=start, end=end)


def tenants(session: Session) -> pl.DataFrame:
    """Every tenant with telemetry: `tenant, first_hour_at`. The only query over all of them."""
    return normalised(session.frame(load_sql("analytics", "cost_tenants")))


def owners(
    session: Session, tenant: str, settings: AnalyticsSettings, asked: Sequence[Asked] = ()
) -> pl.DataFrame:
    """Every workload with its team, application and role, where its attributes say so, and a column for each
    of `asked`."""
    found = read(
        session,
        "owners",
        tenant,
        team=list(settings.team_attributes),
        application=list(settings.application_attributes),
        role=list(settings.role_attributes),
        keys=[attribute for one in asked for attribute in one.attributes],
    )
    return unfolded(found, [(one.name, len(one.attributes)) for one in asked])


def unfolded(frame: pl.DataFrame, columns: Iterable[tuple[str, int]]) -> pl.DataFrame:
    """The frame with a column for each (name, number) in place of the lists in `told`: the first text that is
    not empty among that many. Without `history`, from which they were made."""
    made, at = [], 0
    for name, number in columns:
        texts = [pl.col("told").list.get(at + offset, null_on_oob=True) for offset in range(number)]
        said = [pl.when(text != "").then(text) for text in texts]
        made.append(pl.coalesce(*said, pl.lit("")).alias(name))
        at += number
    return frame.with_columns(made).drop("told", "history")


def normalised(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with times as aware microseconds, and dictionary-encoded or binary texts as strings.

    The engine hands a DateTime out as whole seconds, so such columns are known by their names.
    """
    casts: list[pl.Expr] = []
    for name, kind in frame.schema.items():
        is_time = name in ("minute", "hour", "second") or name.endswith("_at")
        if is_time and kind.is_integer():
            seconds = pl.from_epoch(pl.col(name).cast(pl.Int64), time_unit="s")
            casts.append(seconds.dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias(name))
        elif isinstance(kind, pl.Datetime):
            zoned = pl.col(name) if kind.time_zone else pl.col(name).dt.replace_time_zone("UTC")
            casts.append(zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us").alias(name))
        elif kind in (pl.Categorical, pl.Binary) or isinstance(kind, pl.Enum):
            casts.append(pl.col(name).cast(pl.String))
    return frame.with_columns(casts)


def _bound(value: object) -> object:
    """Times as UTC without a zone, which is how the driver writes a DateTime; lists as lists."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    return value
