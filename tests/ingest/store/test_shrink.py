"""The oldest raw telemetry goes when the store takes too much of its disk, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from ingest.disk import Disk
from ingest.store import keeper as keeper_module
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreUnavailableError
from ingest.store.keeper import DiskKeeper
from ingest.store.shrink import LOOKUPS, RAW, shrink, store_bytes

TODAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAYS = 4
TIMES = {table: "TimeUnix" if table.startswith("metric_") else "Timestamp" for table in RAW} | {
    "otel_traces_trace_id_ts": "Start", "activity_1s": "second",
}  # fmt: skip


class Filled:
    """Tables as small as they can be, since nothing but days, batches and sizes counts: a batch of spans and
    one of points on each of the last days, the oldest first, and a rollup.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.session = engine.session()
        for table, time in TIMES.items():
            self.session.execute(
                f"CREATE TABLE {table} (tenant String, {time} DateTime('UTC'), _batch UInt64)"
                f" ENGINE = MergeTree PARTITION BY toDate({time}) ORDER BY tenant"
                " SETTINGS non_replicated_deduplication_window = 9"
            )
            self.session.execute(f"SYSTEM STOP MERGES {table}")
        for number in range(DAYS):
            self.put(number, DAYS - 1 - number)

    def put(self, number: int, days_ago: int) -> None:
        """The batches `number`1 of spans and `number`2 of points."""
        time = f"{TODAY - timedelta(days=days_ago):%Y-%m-%d %H:%M:%S}"
        batches = {"metric_samples": number * 10 + 2}
        for table in ("otel_traces", "otel_traces_trace_id_ts", "activity_1s", "metric_samples"):
            batch = batches.get(table, number * 10 + 1)
            self.session.execute(
                f"INSERT INTO {table} VALUES ('default', '{time}', {batch})",  # noqa: S608 - ours
                settings={"insert_deduplication_token": f"token-{batch}", "async_insert": 0},
            )

    def days(self, table: str = "otel_traces") -> list[int]:
        """How many days ago rows are of, the oldest first."""
        rows = self.session.rows(f"SELECT {TIMES[table]} FROM {table} ORDER BY 1")  # noqa: S608 - ours
        return [(TODAY - time).days for (time,) in rows]

    def size_of(self, *tables: str) -> int:
        return int(
            self.session.value(
                "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active"
                " AND table IN {tables:Array(String)}",
                {"tables": list(tables)},
            )
        )


def never() -> None:
    return None


@pytest.fixture
def filled(store: Engine) -> Iterator[Filled]:
    yield (opened := Filled(store))
    opened.session.close()


def test_below_the_limit_nothing_goes(filled: Filled) -> None:
    size = store_bytes(filled.session)
    done = shrink(filled.session, size, never)
    assert (done.store_bytes, done.dropped, done.is_enough) == (size, (), True)


def test_the_oldest_day_goes_first_table_by_table(filled: Filled) -> None:
    size = store_bytes(filled.session)
    with capture_logs() as logs:
        done = shrink(filled.session, size - 1, never)
    # One byte too much, but more than that goes at a time.
    assert [each.table for each in done.dropped] == ["otel_traces", "otel_traces_trace_id_ts"]
    assert done.is_enough
    assert {each["rows"] for each in logs} == {1}
    assert {each["log_level"] for each in logs} == {"warning"}
    assert filled.days() == filled.days("otel_traces_trace_id_ts") == [2, 1, 0]
    assert filled.days("metric_samples") == [3, 2, 1, 0]
    assert filled.days("activity_1s") == [3, 2, 1, 0]


def test_all_goes_but_the_newest_day_and_rollups(filled: Filled) -> None:
    done = shrink(filled.session, 0, never)
    assert not done.is_enough
    assert filled.days() == filled.days("metric_samples") == [0]
    assert filled.days("activity_1s") == [3, 2, 1, 0]
    days = [each.day for each in done.dropped]
    assert days == sorted(days)
    assert done.store_bytes == store_bytes(filled.session)
    again = shrink(filled.session, 0, never)
    assert (again.dropped, again.is_enough) == ([], False)


@pytest.mark.parametrize(
    ("unsafe", "left", "points_left"),
    [
        (None, [0], [0]),
        (1, [3, 2, 1, 0], [3, 2, 1, 0]),
        (2, [2, 1, 0], [3, 2, 1, 0]),
        (21, [1, 0], [1, 0]),
        (22, [0], [1, 0]),
    ],
)
def test_what_may_be_inserted_again_stays(
    filled: Filled, unsafe: int | None, left: list[int], points_left: list[int]
) -> None:
    shrink(filled.session, 0, lambda: unsafe)
    assert filled.days() == left
    assert filled.days("metric_samples") == points_left


def test_a_late_batch_keeps_its_part_only(filled: Filled) -> None:
    """Rows of a new batch on an old day: they stay, with the token by which a repetition is recognised."""
    filled.put(9, 3)
    shrink(filled.session, 0, lambda: 91)
    assert filled.days() == [3, 0]
    filled.put(9, 3)
    assert filled.days() == [3, 0]
    shrink(filled.session, 0, never)
    assert filled.days() == [0]


def test_what_comes_while_it_looks_stays(filled: Filled) -> None:
    """The first batch that must stay is asked for after the parts were listed."""

    def comes() -> int:
        if 3 in filled.days() and filled.days().count(3) == 1:
            filled.put(9, 3)
        return 91

    shrink(filled.session, 0, comes)
    assert filled.days() == [3, 0]


def test_raw_tables_are_by_day_and_name_the_batch(session: Session) -> None:
    """The real ones."""
    keys = session.rows(
        "SELECT name, partition_key FROM system.tables WHERE database = currentDatabase()"
        " AND name IN {t:Array(String)}",
        {"t": [*RAW, *LOOKUPS.values()]},
    )
    assert {name for name, _ in keys} == {*RAW, *LOOKUPS.values()}
    assert {key.partition("(")[0] for _, key in keys} == {"toDate"}
    columns = session.rows(
        "SELECT table FROM system.columns WHERE database = currentDatabase() AND name = '_batch'"
    )
    assert {table for (table,) in columns} >= set(RAW)


# --- the thread that looks

on_its_own_disk = pytest.mark.embedded("the disk of a server is its own business")


@pytest.fixture
def keeper_of(filled: Filled) -> Callable[..., DiskKeeper]:
    """A keeper on a disk of a thousand bytes that believes in an embedded store."""

    def make(share: float, registry: CollectorRegistry, **changes: Any) -> DiskKeeper:
        values = {"disk": lambda _: Disk(0, 1000), **changes}
        return DiskKeeper(filled.engine, share, never, registry=registry, **values)

    return make


@on_its_own_disk
def test_a_round_is_counted(filled: Filled, keeper_of: Any) -> None:
    registry = CollectorRegistry()
    keeper = keeper_of(0.5, registry)
    before = filled.size_of("otel_traces")
    with capture_logs() as logs:
        done = keeper.look()
        keeper.look()
    assert not done.is_enough
    told = [each for each in logs if each["log_level"] == "error"]
    assert len(told) == 1
    assert "nothing left that may be dropped" in told[0]["event"]

    def shown(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"lowtide_store_{name}", labels)

    assert shown("limit_bytes") == 500
    assert shown("bytes") == store_bytes(filled.session)
    assert shown("dropped_rows_total", table="otel_traces") == DAYS - 1
    assert shown("dropped_bytes_total", table="otel_traces") == before - filled.size_of("otel_traces")


@on_its_own_disk
def test_a_store_that_does_not_answer_is_said(keeper_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(keeper_module, "shrink", away)
    with capture_logs() as logs:
        assert keeper_of(0.5, CollectorRegistry()).look() is None
    assert [each["error"] for each in logs] == ["away"]


@on_its_own_disk
def test_it_looks_until_it_is_closed(keeper_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Semaphore(0)
    keeper = keeper_of(0.5, CollectorRegistry(), look_s=0.001)
    monkeypatch.setattr(DiskKeeper, "look", lambda _: looked.release())
    keeper.start()
    for _ in range(3):
        assert looked.acquire(timeout=30)
    keeper.close()
    keeper.close()
    assert not keeper._thread.is_alive()


def test_nothing_is_looked_after_without_a_share_or_on_a_server(keeper_of: Any, stand_in: Any) -> None:
    keeper = keeper_of(0, CollectorRegistry())
    keeper.start()
    assert not keeper._thread.is_alive()
    keeper.close()
    keeper = DiskKeeper(Engine(stand_in.target()), 0.5, never, registry=CollectorRegistry())
    keeper.start()
    assert not keeper._thread.is_alive()
    keeper.close()
