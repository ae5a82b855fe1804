"""Which points begin series beyond a tenant's limit, and that nothing else goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.check.rules import groups_of
from collector.check.series import ACTIVE_MINUTES, SeriesLimit
from collector.errors import CollectorError
from collector.refusals import TooLargeError
from ingest import series as module
from ingest.signals import Signal

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
GIB = 1 << 30


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def request_of(*series: tuple[str, str, str, str, str], swapped: bool = False) -> bytes:
    """A point for each (service, scope, metric, kind, attribute); neighbours share what they can."""
    request = ExportMetricsServiceRequest()
    before: tuple[str, ...] = ()
    for service, scope, name, kind, value in series:
        if before[:1] != (service,):
            of_resource = request.resource_metrics.add()
            of_resource.resource.attributes.append(pair("service.name", service))
        if before[:2] != (service, scope):
            of_scope = of_resource.scope_metrics.add()
            of_scope.scope.name = scope
        if before[:4] != (service, scope, name, kind):
            metric = of_scope.metrics.add(name=name)
        point = getattr(metric, kind).data_points.add(time_unix_nano=len(before))
        if value:
            point.attributes.append(pair("key", value))
        before = (service, scope, name, kind)
    return request.SerializeToString()


def pair(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def numbers_of(body: bytes, seed: int = 7, room: int = 1000) -> list[int]:
    found, days = np.zeros(room, np.uint64), np.zeros(room, np.int64)
    count = module.load()(body, seed, found, days, np.zeros(0, np.uint64), False)
    return [int(number) for number in found[:count]]


def values_of(body: bytes) -> list[str]:
    request = ExportMetricsServiceRequest.FromString(body)
    return [
        point.attributes[0].value.string_value if point.attributes else ""
        for group in groups_of(Signal.METRICS, request)
        for point in group.records
    ]


text = st.text(st.characters(codec="utf-8"), max_size=20)
a_series = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from(["", "s"]),
    st.sampled_from(["m", "n"]),
    st.sampled_from(KINDS),
    text,
)


@given(st.lists(a_series, max_size=30))
def test_series_are_told_apart_by_all_that_makes_them(series: list[Any]) -> None:
    numbers = numbers_of(request_of(*series))
    assert len(numbers) == len(series)
    assert 0 not in numbers
    told = dict(zip(series, numbers, strict=True))
    assert [told[each] for each in series] == numbers, "the same series has the same number"
    assert len(set(numbers)) == len(set(series))


@given(st.lists(a_series, min_size=1, max_size=30), st.data())
def test_broken_bytes_never_lead_beyond_the_end(series: list[Any], data: Any) -> None:
    body = bytearray(request_of(*series))
    cut = data.draw(st.integers(0, len(body)))
    for _ in range(data.draw(st.integers(0, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    numbers_of(bytes(body[:cut]), room=4)


@pytest.mark.parametrize("inner", [0, 1, 2])
def test_a_length_beyond_all_numbers_ends_where_the_bytes_do(inner: int) -> None:
    """Added to a position it would be below nought."""
    body = b"\x0a" + b"\xff" * 8 + b"\x7f" + b"abc"
    for _ in range(inner):
        body = b"\x0a" + bytes([len(body)]) + body
    numbers, days = np.zeros(4, np.uint64), np.zeros(4, np.int64)
    assert module.load()(body, 1, numbers, days, np.zeros(0, np.uint64), False) == 0


def test_whatever_names_a_series_tells_it_apart() -> None:
    """Also the same text in another place, and what lies behind the points."""
    told = set()
    for description, unit, scope_url, url, temporality, monotonic, resource, scope in (
        ("x", "", "", "", 0, False, "", ""), ("", "x", "", "", 0, False, "", ""),
        ("", "", "x", "", 0, False, "", ""), ("", "", "", "x", 0, False, "", ""),
        ("", "", "", "", 1, False, "", ""), ("", "", "", "", 2, False, "", ""),
        ("", "", "", "", 2, True, "", ""), ("", "", "", "", 0, False, "x", ""),
        ("", "", "", "", 0, False, "", "x"), ("", "", "", "", 0, False, "", ""),
    ):  # fmt: skip
        request = ExportMetricsServiceRequest()
        entry = request.resource_metrics.add(schema_url=url)
        if resource:
            entry.resource.attributes.append(pair(resource, ""))
        of_scope = entry.scope_metrics.add(schema_url=scope_url)
        if scope:
            of_scope.scope.attributes.append(pair(scope, ""))
        metric = of_scope.metrics.add(name="m", description=description, unit=unit)
        metric.sum.data_points.add(time_unix_nano=1)
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = temporality, monotonic  # type: ignore[assignment]
        told.update(numbers_of(request.SerializeToString()))
    assert len(told) == 10


def test_numbers_are_other_ones_in_another_process() -> None:
    body = request_of(("a", "s", "m", "gauge", "x"))
    assert numbers_of(body, 1) != numbers_of(body, 2)


def of_values(*values: str) -> bytes:
    return request_of(*(("a", "s", "m", "gauge", value) for value in values))


def limited(limit: int, clock: Clock | None = None, memory_bytes: int = GIB) -> SeriesLimit:
    return SeriesLimit(limit, memory_bytes=memory_bytes, clock=clock or Clock())


def test_known_series_go_on_and_new_ones_are_taken_out() -> None:
    limit = limited(2)
    assert limit.refused("t", of_values("1", "2", "1"), 3) is None
    body = of_values("1", "3", "2", "4")
    marks = limit.refused("t", body, 4)
    assert marks is not None
    assert marks.tolist() == [False, True, False, True]
    assert values_of(limit.without(body, marks)) == ["1", "2"]
    assert limit.reason(marks).startswith(
        "2 of 4 data points refused: they begin new series, and this tenant"
    )
    assert "2 already, its limit (collector.tenant_series)" in limit.reason(marks)
    assert limit.counts() == {"t": 2}


def test_all_new_leaves_nothing() -> None:
    limit = limited(1)
    assert limit.refused("t", of_values("1"), 1) is None
    body = of_values("2", "3")
    marks = limit.refused("t", body, 2)
    assert marks is not None
    assert limit.without(body, marks) == b""


def test_each_tenant_has_its_own() -> None:
    limit = limited(1)
    assert limit.refused("t", of_values("1"), 1) is None
    assert limit.refused("u", of_values("2"), 1) is None
    assert limit.refused("t", of_values("2"), 1) is not None
    assert limit.counts() == {"t": 1, "u": 1}


def test_a_silent_series_makes_room_after_an_hour() -> None:
    clock = Clock()
    limit = limited(2, clock)
    limit.refused("t", of_values("1", "2"), 2)
    clock.now = 30 * 60
    assert limit.refused("t", of_values("1"), 1) is None
    clock.now = (ACTIVE_MINUTES - 1) * 60
    assert limit.refused("t", of_values("3"), 1) is not None
    clock.now = (ACTIVE_MINUTES + 10) * 60
    assert limit.refused("t", of_values("3"), 1) is None
    assert limit.refused("t", of_values("1"), 1) is None
    assert limit.refused("t", of_values("2"), 1) is not None


def test_a_silent_tenant_is_forgotten() -> None:
    clock = Clock()
    limit = limited(2, clock)
    limit.refused("t", of_values("1"), 1)
    clock.now = 3 * 3600
    limit.refused("u", of_values("1"), 1)
    assert limit.counts() == {"u": 1}


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=20), max_size=12), st.integers(1, 30))
def test_never_more_than_the_limit_and_never_a_known_one(requests: list[list[int]], limit: int) -> None:
    limits = limited(limit)
    known: set[str] = set()
    for numbers in requests:
        values = [f"value {number}" for number in numbers]
        marks = limits.refused("t", of_values(*values), len(values))
        for value, out in zip(values, marks if marks is not None else [False] * len(values), strict=True):
            if value in known:
                assert not out
            elif len(known) < limit:
                assert not out
                known.add(value)
            else:
                assert out
        assert limits.counts().get("t", 0) == len(known) <= limit


def test_many_series_grow_the_table() -> None:
    limit = limited(100_000)
    for first in range(0, 50_000, 5000):
        values = [str(number) for number in range(first, first + 5000)]
        assert limit.refused("t", of_values(*values), 5000) is None
    assert limit.counts() == {"t": 50_000}
    assert limit.refused("t", of_values("0", "49999"), 2) is None
    assert limit.counts() == {"t": 50_000}


def test_taking_out_what_is_too_large_is_refused() -> None:
    limit = limited(1, memory_bytes=1)
    limit.refused("t", of_values("1"), 1)
    body = of_values("1", "2")
    marks = limit.refused("t", body, 2)
    assert marks is not None
    with pytest.raises(TooLargeError, match=r"1 of 2 data points refused.*send smaller batches"):
        limit.without(body, marks)


def test_a_count_that_does_not_fit_is_a_fault_of_ours() -> None:
    with pytest.raises(CollectorError, match="another number of points"):
        limited(1).refused("t", of_values("1", "2"), 3)
