"""What a point of a known series leaves out is in the store, whatever happens in between."""

from __future__ import annotations

import itertools
import random
import re
import time
from datetime import UTC, datetime
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ingest import series
from ingest.signals import Signal
from ingest.store import known_series as module
from ingest.store import plain as plain_module
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreUnavailableError
from ingest.store.known_series import KnownSeries
from ingest.store.migrate import migrations
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.plain import plain
from ingest.store.settings import StoreSettings

DAY_NS = 86_400 * 1_000_000_000
NOON_NS = time.time_ns() // DAY_NS * DAY_NS - 9 * DAY_NS // 2
VALUES: Any = st.sampled_from(["x", "y", 0, 1, 0.5])
ATTRIBUTES: Any = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
POINTS = st.lists(
    st.tuples(st.sampled_from(["m", "n"]), st.booleans(), st.integers(0, 2), ATTRIBUTES), max_size=12
)


def request_of(points: list[tuple[str, bool, int, dict[str, Any]]], **resource: str) -> bytes:
    """Points: name, whether of a sum, day from noon, attributes. Those of one metric are together."""
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    for key, text in resource.items():
        entry.resource.attributes.add(key=key.replace("_", ".")).value.string_value = text
    scope = entry.scope_metrics.add()
    for name, is_sum, day, attributes in points:
        last = scope.metrics[-1] if scope.metrics else None
        kind = "sum" if is_sum else "gauge"
        if last is None or last.name != name or last.WhichOneof("data") != kind:
            last = scope.metrics.add(name=name)
        point = getattr(last, kind).data_points.add(
            time_unix_nano=NOON_NS + day * DAY_NS + random.Random(name).randrange(1000), as_int=len(name)
        )
        for key, value in attributes.items():
            field = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
            setattr(point.attributes.add(key=key).value, field, value)
    return request.SerializeToString()


def left_behind(body: bytes, known: KnownSeries, tenant: str = "t") -> list[bool]:
    """Of which points the attributes were left behind, and that what is written says so of the same."""
    looked = known.look(tenant, body)
    written = ExportMetricsServiceRequest.FromString(plain(Signal.METRICS, body, looked))
    points = [
        point
        for metric in written.resource_metrics[0].scope_metrics[0].metrics
        for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points
    ]
    told = []
    for point, fingerprint in zip(points, looked.fingerprints, strict=True):
        fields = dict(unknown_of(point))
        if plain_module.KNOWN_FINGERPRINT in fields:
            assert not point.attributes
            assert plain_module.KEYS not in fields
        assert fields[
            plain_module.KNOWN_FINGERPRINT
            if plain_module.KNOWN_FINGERPRINT in fields
            else plain_module.FINGERPRINT
        ] == int(fingerprint)
        told.append(plain_module.KNOWN_FINGERPRINT in fields)
    assert told == looked.known.astype(bool).tolist()
    return told


def unknown_of(message: Any) -> list[tuple[int, Any]]:
    return [(field.field_number, field.data) for field in UnknownFieldSet(message)]


@given(st.lists(POINTS, max_size=4))
def test_a_point_is_known_after_one_with_its_series_and_day(requests: list[Any]) -> None:
    known, seen = KnownSeries(slots=1024), set[Any]()
    for points in requests:
        body = request_of(points)
        expected = [
            (name, is_sum, day, tuple(attributes.items())) in seen for name, is_sum, day, attributes in points
        ]
        assert left_behind(body, known) == expected
        known.add(known.look("t", body).fresh)
        seen |= {(name, is_sum, day, tuple(attributes.items())) for name, is_sum, day, attributes in points}


def test_nobody_knows_what_another_tenant_sent() -> None:
    known, body = KnownSeries(slots=64), request_of([("m", True, 0, {"a": "x"})])
    known.add(known.look("t", body).fresh)
    assert left_behind(body, known) == [True]
    assert left_behind(body, known, "u") == [False]


def _unmixed(state: int) -> int:
    """What `ingest.series` mixes, taken back: its primes are known to everybody, and its seed."""
    state = state * pow(0xD6E8FEB86659FD93, -1, 1 << 64) % (1 << 64)
    return (state ^ state >> 32) * pow(0x9E3779B97F4A7C15, -1, 1 << 64) % (1 << 64)


def _before_last_word(fingerprint: int) -> list[int]:
    """The hash before the last eight bytes of a series, with these: two, since a fingerprint is odd."""
    return [_unmixed(_unmixed(last ^ last >> 32)) for last in (fingerprint, fingerprint ^ 1)]


def _series_ending(word: int) -> bytes:
    """A point whose one attribute is two words, the last one given."""
    request = ExportMetricsServiceRequest.FromString(request_of([("m", False, 0, {})]))
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.attributes.add(key="kk").value.bytes_value = word.to_bytes(8, "little")
    return request.SerializeToString()


def _series_with(fingerprint: int) -> bytes:
    look = KnownSeries(slots=16).look
    begun = _before_last_word(int(look("t", _series_ending(0)).fingerprints[0]))
    bodies = [_series_ending(one ^ other) for one in begun for other in _before_last_word(fingerprint)]
    return next(body for body in bodies if look("t", body).fingerprints[0] == fingerprint)


def test_nobody_can_make_series_for_which_another_tenants_are_taken() -> None:
    """Whoever guesses a series of somebody else knows its fingerprint, and can make one with any other."""

    def digest(tenant: str) -> int:
        return int.from_bytes(blake2b(tenant.encode(), digest_size=8).digest(), "little")

    theirs = request_of([("m", True, 0, {"a": "x"})])
    fingerprint = int(KnownSeries(slots=16).look("shop", theirs).fingerprints[0])
    wanted = {mine: fingerprint ^ digest("shop") ^ digest(mine) for mine in "abcdefgh"}
    odd = [mine for mine in wanted if wanted[mine] & 1]
    assert odd
    for mine in odd:
        known = KnownSeries(slots=64)
        known.add(known.look(mine, _series_with(wanted[mine])).fresh)
        assert left_behind(theirs, known, "shop") == [False]


def test_metrics_that_rollups_are_made_of_and_the_demo_always_say_all() -> None:
    known = KnownSeries(slots=64)
    for body in (
        request_of([("k8s.node.cpu.usage", False, 0, {"a": "x"})]),
        request_of([("m", False, 0, {"a": "x"})], lowtide_demo="true"),
    ):
        for _ in range(2):
            assert left_behind(body, known) == [False]
            known.add(known.look("t", body).fresh)


def test_every_metric_that_rollups_are_made_of_is_on_the_list(session: Session) -> None:
    names = re.findall(
        r"'([^']+)'",
        str(session.value("SELECT as_select FROM system.tables WHERE name = 'known_points_mv' LIMIT 1")),
    )
    assert len(names) > 30
    for name in names:
        known, body = KnownSeries(slots=64), request_of([(name, False, 0, {"a": "x"})])
        assert known.look("t", body).fresh.tolist() == []


def test_points_that_may_lack_attributes_are_read_by_these_only() -> None:
    """Whoever else reads `number_points` would find no attributes where the series is known."""
    readers = {
        name.partition("_")[2].removesuffix(".sql")
        for migration in migrations(StoreSettings())
        for name, statement in migration.statements
        if re.search(r"\bFROM\s+number_points\b", statement)
    }
    assert readers == {"metric_samples_mv", "metric_series_of_number_mv", "known_points_mv"}


def test_what_came_first_is_forgotten_first() -> None:
    known = KnownSeries(slots=64)
    bodies = [request_of([("m", True, 0, {"a": str(number)})]) for number in range(200)]
    for body in bodies:
        known.add(known.look("t", body).fresh)
    told = [left_behind(body, known)[0] for body in bodies]
    assert told == sorted(told), "the last ones are known"
    assert 32 <= sum(told) <= 64
    known.add(known.look("t", request_of([("m", True, 0, {"a": str(-n)}) for n in range(1, 99)])).fresh)
    assert (
        0 < sum(left_behind(request_of([("m", True, 0, {"a": str(-n)}) for n in range(1, 99)]), known)) <= 98
    )


def test_nothing_is_known_after_an_insert_that_failed() -> None:
    outcomes: list[Exception | None] = [None, StoreUnavailableError("gone", 210), None, None]
    written: list[list[bytes]] = []

    def insert_raw(_table: str, blocks: Any, **_: Any) -> None:
        written.append([bytes(block) for block in blocks])
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    engine = SimpleNamespace(is_embedded=True, session=lambda: SimpleNamespace(insert_raw=insert_raw))
    writer = OtlpWriter(cast("Engine", engine), known=KnownSeries(slots=64))
    body = request_of([("m", True, 0, {"a": "a value of its own"})])
    for number in (1, 2, 2, 3):
        try:
            writer.insert(Signal.METRICS, number, str(number), [Request("t", 1, body)])
        except StoreUnavailableError:
            assert number == 2
    says_all = [b"a value of its own" in b"".join(blocks) for blocks in written]
    assert says_all == [True, False, True, False]


def test_what_was_said_before_everything_was_forgotten_does_not_count() -> None:
    """A batch is looked at when it is gathered, and inserted later."""
    written: list[bytes] = []

    def insert_raw(_table: str, blocks: Any, **_: Any) -> None:
        written.append(b"".join(bytes(block) for block in blocks))

    engine = SimpleNamespace(is_embedded=True, session=lambda: SimpleNamespace(insert_raw=insert_raw))
    known = KnownSeries(slots=64)
    writer = OtlpWriter(cast("Engine", engine), known=known)
    body = request_of([("m", True, 0, {"a": "a value of its own"})])
    writer.insert(Signal.METRICS, 1, "1", [Request("t", 1, body)])
    looked = writer.look(Signal.METRICS, "t", body)
    writer.insert(Signal.METRICS, 2, "2", [Request("t", 1, body, looked)])
    known.forget()
    writer.insert(Signal.METRICS, 3, "3", [Request("t", 1, body, looked)])
    assert [b"a value of its own" in batch for batch in written] == [True, False, True]


def test_a_request_that_goes_in_as_it_came_makes_nothing_known(
    migrated: Engine, session: Session, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its points say no fingerprint, so that their series are stored under another one."""
    body = request_of([("m", True, 0, {"a": "x"})])
    writer = OtlpWriter(migrated, known=KnownSeries(slots=64))
    with monkeypatch.context() as patched:
        patched.setattr(plain_module, "MAX_BYTES", 1)
        writer.insert(Signal.METRICS, 941_001, f"first {tenant}", [Request(tenant, 1, body)])
    writer.insert(Signal.METRICS, 941_002, f"second {tenant}", [Request(tenant, 1, body)])
    writer.close()

    query = "SELECT count() FROM otel_metrics_sum WHERE tenant = {t:String} AND Attributes['a'] = 'x'"
    assert session.value(query, {"t": tenant}) == 2


@pytest.mark.parametrize("first_is_full", [True, False])
def test_a_batch_stored_in_both_forms_is_stored_once(
    migrated: Engine, session: Session, tenant: str, *, first_is_full: bool
) -> None:
    """A process that did not know the series repeats what one that did has begun, and the other way round."""
    body = request_of([("m", True, day, {"a": letter}) for day in range(3) for letter in "xyz"])
    known = KnownSeries(slots=1024)
    writers = [OtlpWriter(migrated, known=known), OtlpWriter(migrated)]
    writers[0].insert(Signal.METRICS, 940_001, f"before {tenant}", [Request(tenant, 1, body)])
    assert all(left_behind(body, known, tenant))
    for writer in reversed(writers) if first_is_full else writers:
        writer.insert(Signal.METRICS, 940_002, f"twice {tenant}", [Request(tenant, 1, body)])
    for writer in writers:
        writer.close()

    of_tenant = {"t": tenant}
    assert session.value("SELECT count() FROM metric_samples WHERE tenant = {t:String}", of_tenant) == 18
    assert (
        session.value("SELECT sum(rows) FROM telemetry_volume_1h WHERE tenant = {t:String}", of_tenant) == 18
    )


def test_views_and_volumes_say_the_same_however_a_point_came(
    migrated: Engine, session: Session, tenant: str
) -> None:
    draw = random.Random(3)
    requests = []
    for _ in range(6):
        points = [
            (draw.choice("mn"), draw.random() < 0.5, draw.randrange(3), {"a": draw.choice("xyz"), "b": value})
            for value in draw.choices([1, 0.5], k=20)
        ]
        requests.append(request_of(points))
    numbers = itertools.count(941_000)
    for whose, slots in ((f"{tenant}-all", 16), (f"{tenant}-known", 1024)):
        known = KnownSeries(slots=slots)
        for body in requests:
            if slots == 16:
                known.forget()
            writer = OtlpWriter(migrated, known=known)
            number = next(numbers)
            writer.insert(Signal.METRICS, number, f"{number} {tenant}", [Request(whose, 1, body)])
            writer.close()
        assert sum(left_behind(requests[-1], known, whose)) == (0 if slots == 16 else 20) or slots == 16

    for columns, source in (
        ("MetricName, Attributes, TimeUnix, Value, ServiceName", "otel_metrics_sum"),
        ("MetricName, Attributes, TimeUnix, Value, ServiceName", "otel_metrics_gauge"),
        ("MetricName, labels, TimeUnix, Value", "prometheus_samples"),
        ("hour, sum(rows), sum(bytes)", "telemetry_volume_1h"),
        ("DISTINCT MetricName, Attributes, kind", "metric_series"),
    ):
        query = f"SELECT {columns} FROM {source} WHERE tenant = {{t:String}}"  # noqa: S608 - ours
        query += f" {'GROUP BY hour' if 'sum(' in columns else ''} ORDER BY ALL"
        rows = [session.rows(query, {"t": f"{tenant}-{name}"}) for name in ("all", "known")]
        assert rows[0] == rows[1]
        assert rows[0], query


def test_days_are_those_of_the_points_in_utc() -> None:
    body = request_of([("m", True, 1, {})])
    numbers, days = np.zeros(1, np.uint64), np.zeros(1, np.int64)
    series.load()(body, module.SEED, numbers, days, np.zeros(0, np.uint64), True)
    assert datetime.fromtimestamp(int(days[0]) * 86_400, UTC).date() == (
        datetime.fromtimestamp(NOON_NS // 10**9 + 86_400, UTC).date()
    )
