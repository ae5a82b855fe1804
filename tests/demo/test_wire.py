"""Bytes patched in columns are the bytes protobuf would have written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ScopeMetrics, Sum
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from lowtide.demo.points import Instrument, series
from lowtide.demo.wire import (
    Template,
    any_value,
    attributes,
    digits,
    field,
    fixed64,
    hexes,
    number_of,
    octets_of,
    text_of,
    varint,
)

TIMES = st.lists(st.integers(1, 2**62), min_size=1, max_size=20)


@given(st.integers(0, 2**32 - 1))
def test_a_varint_is_what_protobuf_writes(number: int) -> None:
    point = NumberDataPoint(flags=number)
    assert point.SerializeToString() == (b"\x40" + varint(number) if number else b"")


@given(starts=TIMES, seed=st.integers(0, 2**32))
def test_filled_templates_equal_messages_made_one_by_one(starts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 256, (len(starts), 8), dtype=np.uint8)
    numbers = rng.integers(0, 10**9, len(starts))
    path = f"/v1/designs/{text_of('digits', 8)}"
    shape = Span(
        name="GET",
        span_id=octets_of("span", 8),
        start_time_unix_nano=number_of("start"),
        attributes=attributes({"url.path": path, "url.full": f"http://x{path}"}),
    )
    places = {
        "span": octets_of("span", 8),
        "start": octets_of("start", 8),
        "digits": text_of("digits", 8).encode(),
    }
    rows = Template.compiled(2, shape, places).fill(
        len(starts),
        {"span": ids, "start": fixed64(np.asarray(starts, dtype=np.int64)), "digits": digits(numbers, 8)},
    )
    expected = b""
    for start, span_id, number in zip(starts, ids, numbers, strict=True):
        told = f"/v1/designs/{number % 10**8:08d}"
        span = Span(name="GET", span_id=span_id.tobytes(), start_time_unix_nano=start)
        span.attributes.extend(attributes({"url.path": told, "url.full": f"http://x{told}"}))
        expected += field(2, span.SerializeToString())
    assert rows.tobytes() == expected
    assert len(ScopeSpans.FromString(expected).spans) == len(starts)


def test_a_place_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="'span' does not occur"):
        Template.compiled(2, Span(name="x"), {"span": octets_of("span", 8)})


@given(times=TIMES, value=st.floats(allow_nan=False), start=st.integers(1, 2**62))
def test_a_series_reads_back(times: list[int], value: float, start: int) -> None:
    at = np.asarray(times, dtype=np.int64)
    doubles = Gauge.FromString(series(at, np.full(len(times), value)))
    assert [(p.time_unix_nano, p.as_double) for p in doubles.data_points] == [(t, value) for t in times]
    integers = series(
        at, np.arange(len(times), dtype=np.int64) - 5, start_ns=start, labels={"cpu.mode": "idle"}
    )
    metric = ScopeMetrics.FromString(Instrument("x", "By", is_sum=True).metric(integers)).metrics[0]
    assert (metric.name, metric.unit, metric.sum.is_monotonic) == ("x", "By", True)
    assert metric.sum.aggregation_temporality == Sum(aggregation_temporality=2).aggregation_temporality
    assert [p.as_int for p in metric.sum.data_points] == [i - 5 for i in range(len(times))]
    assert all(p.start_time_unix_nano == start for p in metric.sum.data_points)
    assert metric.sum.data_points[0].attributes[0].value.string_value == "idle"


def test_a_gauge_has_no_temporality() -> None:
    raw = Instrument("x", "1").metric(series(np.asarray([1], dtype=np.int64), np.asarray([2.0])))
    assert ScopeMetrics.FromString(raw).metrics[0] == Metric(
        name="x", unit="1", gauge=Gauge.FromString(series(np.asarray([1], dtype=np.int64), np.asarray([2.0])))
    )


def test_nested_values_stay_what_they_are() -> None:
    value = any_value({"a": [1, "x", {"deep": True}], "b": 2.5})
    pairs = {pair.key: pair.value for pair in value.kvlist_value.values}
    assert pairs["a"].array_value.values[0].int_value == 1
    assert pairs["a"].array_value.values[2].kvlist_value.values[0].value.bool_value is True
    assert pairs["b"].double_value == 2.5


@given(st.binary(min_size=4, max_size=4))
def test_hexes_are_hexadecimal(octets: bytes) -> None:
    assert hexes(np.frombuffer(octets, dtype=np.uint8).reshape(1, 4)).tobytes().decode() == octets.hex()
