"""The compiled walk: what it counts, what it lets through, what it flags."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.check import walk
from ingest.signals import Signal

STOPS = walk.MALFORMED | walk.BAD_UTF8 | walk.TOO_DEEP | walk.ODD
LAST = (1 << 64) - 1


@pytest.mark.parametrize("signal", Signal)
def test_a_request_with_every_field_is_clean(otlp: Any, signal: Signal) -> None:
    request = otlp.rich(signal)
    assert otlp.walk(signal, request.SerializeToString()) == (otlp.count(signal, request), 0)


@pytest.mark.parametrize("signal", Signal)
def test_the_rich_request_really_has_every_field(otlp: Any, signal: Signal) -> None:
    """Otherwise a field could be wrong in the tables unnoticed."""
    unused: set[str] = set()
    used: set[str] = set()

    def visit(message: Any) -> None:
        present = {field.name for field, _ in message.ListFields()}
        for field in message.DESCRIPTOR.fields:
            (used if field.name in present else unused).add(f"{message.DESCRIPTOR.full_name}.{field.name}")
        for field, value in message.ListFields():
            if field.message_type is not None:
                for child in value if field.is_repeated else [value]:
                    visit(child)

    visit(otlp.rich(signal))
    left = {name.removeprefix("opentelemetry.proto.") for name in unused - used}
    if signal is not Signal.TRACES:  # all kinds of values are in the spans
        left = {name for name in left if not name.startswith("common.v1.AnyValue")}
    assert {name for name in left if not name.endswith("_strindex")} == set()  # only profiles use those


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("records", [0, 1, 700])
def test_it_counts_records(otlp: Any, signal: Signal, records: int) -> None:
    assert otlp.walk(signal, otlp.request(signal, records).SerializeToString()) == (records, 0)


def test_a_metric_without_data_or_points_has_no_items(otlp: Any) -> None:
    request = otlp.request(Signal.METRICS)
    scope = request.resource_metrics[0].scope_metrics[0]
    scope.metrics.add(name="nothing")
    scope.metrics.add(name="no points").summary.SetInParent()
    assert otlp.walk(Signal.METRICS, request.SerializeToString()) == (1, 0)


def test_only_values_that_the_database_holds_are_clean_wherever_they_are(otlp: Any, unheld: Any) -> None:
    above = {"span resource", "span scope", "log resource", "log scope"} | {
        "metric resource",
        "metric scope",
        "metric metadata",
    }
    wrong = []
    for place, build in otlp.places().items():
        for name, value in otlp.values().items():
            signal, request = build(value)
            flag = walk.REWRITE if place in above else walk.RECORD_REWRITE
            expected = (1, flag if name in unheld else 0)
            if otlp.walk(signal, request.SerializeToString()) != expected:
                wrong.append((place, name))
    assert wrong == []


@pytest.mark.parametrize(
    ("start", "end", "flag"),
    [
        (0, 0, 0),
        (-30 * 86_400, 600, 0),
        (-30 * 86_400 - 1, 0, walk.TIME),
        (0, 601, walk.TIME),
        (601, 602, walk.TIME),
        (1, 0, walk.TIME),
    ],
)
def test_a_span_lies_in_the_window_and_ends_after_it_starts(
    otlp: Any, start: int, end: int, flag: int
) -> None:
    request = otlp.requests[Signal.TRACES]()
    now = otlp.now_ns
    otlp.add_span(request, start_time_unix_nano=now + start * 10**9, end_time_unix_nano=now + end * 10**9)
    assert otlp.walk(Signal.TRACES, request.SerializeToString()) == (1, flag)


@pytest.mark.parametrize("time", [0, 1, 5_680_281_600 * 10**9, 1 << 63, LAST])
def test_far_times_are_flagged_in_every_signal(otlp: Any, time: int) -> None:
    spans, points, logs = (otlp.requests[s]() for s in (Signal.TRACES, Signal.METRICS, Signal.LOGS))
    otlp.add_span(spans, start_time_unix_nano=time)
    otlp.add_log(logs, time_unix_nano=time or LAST)
    otlp.add_points(points, "sum", [otlp.now_ns, time])
    flags = walk.TIME if time else walk.TIME | walk.UNTIMED
    assert otlp.walk(Signal.TRACES, spans.SerializeToString()) == (1, flags)
    assert otlp.walk(Signal.LOGS, logs.SerializeToString()) == (1, walk.TIME)
    assert otlp.walk(Signal.METRICS, points.SerializeToString()) == (2, flags)


@pytest.mark.parametrize(
    ("time", "observed", "flag"),
    [(0, 0, walk.UNTIMED), (0, 1, 0), (1, 0, 0), (1, 5, 0), (5, 1, walk.TIME), (0, 5, walk.TIME)],
)
def test_a_log_is_judged_by_its_time_else_by_when_it_was_observed(
    otlp: Any, time: int, observed: int, flag: int
) -> None:
    times = {0: 0, 1: otlp.now_ns, 5: 5}
    request = otlp.requests[Signal.LOGS]()
    otlp.add_log(request, time_unix_nano=times[time], observed_time_unix_nano=times[observed])
    assert otlp.walk(Signal.LOGS, request.SerializeToString()) == (1, flag)


def test_times_that_are_not_a_records_own_do_not_count(otlp: Any) -> None:
    request = otlp.request(Signal.TRACES)
    request.resource_spans[0].scope_spans[0].spans[0].events.add(time_unix_nano=LAST)
    assert otlp.walk(Signal.TRACES, request.SerializeToString()) == (1, 0)
    request = otlp.request(Signal.METRICS)
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.start_time_unix_nano = LAST
    point.exemplars.add(time_unix_nano=1)
    assert otlp.walk(Signal.METRICS, request.SerializeToString()) == (1, 0)


def test_one_record_does_not_lend_its_times_and_ids_to_the_next(otlp: Any) -> None:
    request = otlp.request(Signal.TRACES, 2)
    request.resource_spans[1].scope_spans[0].spans[0].Clear()
    assert otlp.walk(Signal.TRACES, request.SerializeToString()) == (2, walk.TIME | walk.IDS | walk.UNTIMED)


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("trace_id", b"", walk.IDS),
        ("trace_id", bytes(16), walk.IDS),
        ("trace_id", b"x" * 15, walk.IDS),
        ("trace_id", b"x" * 17, walk.IDS),
        ("trace_id", bytes(15) + b"\1", 0),
        ("trace_id", b"\1" + bytes(15), 0),
        ("span_id", b"", walk.IDS),
        ("span_id", bytes(8), walk.IDS),
        ("span_id", b"x" * 16, walk.IDS),
        ("parent_span_id", b"", 0),
        ("parent_span_id", bytes(8), walk.IDS),
        ("parent_span_id", b"x" * 7, walk.IDS),
        ("parent_span_id", b"x" * 8, 0),
    ],
)
def test_ids_of_spans(otlp: Any, field: str, value: bytes, flag: int) -> None:
    request = otlp.requests[Signal.TRACES]()
    otlp.add_span(request, **{field: value})
    assert otlp.walk(Signal.TRACES, request.SerializeToString()) == (1, flag)


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("trace_id", b"", 0),
        ("trace_id", b"x" * 16, 0),
        ("trace_id", bytes(16), walk.IDS),
        ("trace_id", b"x" * 8, walk.IDS),
        ("span_id", b"x" * 8, 0),
        ("span_id", bytes(8), walk.IDS),
        ("span_id", b"x", walk.IDS),
    ],
)
@pytest.mark.parametrize("holder", ["log", "link", "exemplar"])
def test_ids_that_may_be_absent(otlp: Any, holder: str, field: str, value: bytes, flag: int) -> None:
    signal = {"log": Signal.LOGS, "link": Signal.TRACES, "exemplar": Signal.METRICS}[holder]
    request = otlp.request(signal)
    match holder:
        case "log":
            target = request.resource_logs[0].scope_logs[0].log_records[0]
        case "link":
            target = request.resource_spans[0].scope_spans[0].spans[0].links.add()
        case _:
            metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
            target = metric.gauge.data_points[0].exemplars.add()
    setattr(target, field, value)
    assert otlp.walk(signal, request.SerializeToString()) == (1, flag)


def _attribute(otlp: Any, value: bytes) -> bytes:
    return otlp.field(9, otlp.field(1, b"k") + otlp.field(2, value))  # type: ignore[no-any-return]


ODDITIES = {
    "unknown field": lambda o: o.numeric(99, 1),
    "unknown field with a small number": lambda o: o.numeric(17, 1),
    "number of the last field": lambda o: o.varint(((1 << 29) - 1) << 3 | 2) + b"\0",
    "a column of the store": lambda o: o.numeric(536_870_001, 7),
    "wrong wire type": lambda o: o.numeric(3, 1),
    "fixed32 for fixed64": lambda o: o.varint(7 << 3 | 5) + bytes(4),
    "group": lambda o: o.varint(20 << 3 | 3) + o.varint(20 << 3 | 4),
    "group of a known number": lambda o: o.varint(5 << 3 | 3) + o.varint(5 << 3 | 4),
    "text twice": lambda o: o.field(5, b"again"),
    "enum twice": lambda o: o.numeric(6, 1),
    "message twice": lambda o: o.field(15, b"") + o.field(15, b""),
    "over-long tag": lambda _: b"\x9a\x00\x01x",
    "over-long length": lambda _: b"\x1a\x81\x00x",
    "over-long number": lambda _: b"\x50\x81\x00",
    "number beyond 32 bits": lambda o: o.numeric(10, 1 << 32),
    "enum beyond 32 bits": lambda o: o.field(15, o.numeric(3, 1 << 32)),
    "negative enum of 32 bits": lambda o: o.field(15, o.numeric(3, (1 << 32) - 1)),
    "number beyond 64 bits": lambda _: b"\x50" + b"\xff" * 9 + b"\x02",
    "boolean of 2": lambda o: _attribute(o, o.numeric(2, 2)),
    "two members of a oneof": lambda o: _attribute(o, o.numeric(2, 1) + o.numeric(3, 1)),
    "one member of a oneof twice": lambda o: _attribute(o, o.numeric(3, 1) + o.numeric(3, 1)),
    "value twice": lambda o: o.field(9, o.field(2, b"\x18\x01") + o.field(2, b"\x18\x01")),
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_no_sdk_writes_is_odd(otlp: Any, oddity: str) -> None:
    body = otlp.span_bytes(ODDITIES[oddity](otlp))
    otlp.requests[Signal.TRACES].FromString(body)  # protobuf takes it: it is not malformed
    assert otlp.walk(Signal.TRACES, body)[1] == walk.ODD


DAMAGES = {
    "length beyond the end": lambda _: b"\x1a\x05x",
    "length beyond all bounds": lambda _: b"\x1a" + b"\xff" * 9 + b"\x01",
    "length of 2^63 and 1": lambda _: b"\x1a\x81" + b"\x80" * 8 + b"\x01x",
    "no length": lambda _: b"\x1a",
    "cut number": lambda _: b"\x50\x80",
    "endless number": lambda _: b"\x50" + b"\xff" * 11,
    "cut tag": lambda _: b"\x80",
    "cut fixed32": lambda o: o.varint(16 << 3 | 5) + bytes(3),
    "cut fixed64": lambda o: o.field(11, b"\x09" + bytes(7)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_protobuf_is_malformed(otlp: Any, damage: str) -> None:
    body = otlp.span_bytes(DAMAGES[damage](otlp))
    assert otlp.walk(Signal.TRACES, body)[1] == walk.MALFORMED


@pytest.mark.parametrize("tag", [b"\x00\x00", b"\x06", b"\x07", b"\x0c"])
def test_impossible_tags_are_flagged(otlp: Any, tag: bytes) -> None:
    assert otlp.walk(Signal.TRACES, otlp.span_bytes(tag))[1] & STOPS


def test_elements_of_packed_fields_may_come_in_a_block_or_one_by_one(otlp: Any) -> None:
    one, two = struct.pack("<d", 1.0), struct.pack("<d", 2.0)
    bound = otlp.varint(7 << 3 | 1)
    cases = {
        "block": otlp.field(7, one + two),
        "single": bound + one + bound + two,
        "apart": bound + one + otlp.varint(4 << 3 | 1) + bytes(8) + bound + two,
        "mixed": bound + one + otlp.field(7, two),
        "two blocks": otlp.field(7, one) + otlp.field(7, two),
    }
    for name, more in cases.items():
        assert otlp.walk(Signal.METRICS, otlp.point_bytes(9, more)) == (1, 0), name
    buckets = {"block": otlp.field(2, b"\x01\x80\x01"), "single": otlp.numeric(2, 300) + otlp.numeric(2, 0)}
    for name, more in buckets.items():
        assert otlp.walk(Signal.METRICS, otlp.point_bytes(10, otlp.field(8, more))) == (1, 0), name


@pytest.mark.parametrize(
    ("kind", "more", "flag"),
    [
        (9, b"\x3a\x00", walk.ODD),  # an empty block: the database fails the batch
        (9, b"\x32\x00", walk.ODD),
        (10, b"\x42\x02\x12\x00", walk.ODD),
        (9, b"\x3a\x07" + bytes(7), walk.MALFORMED),
        (10, b"\x42\x03\x12\x01\x80", walk.MALFORMED),
        (10, b"\x42\x04\x12\x02\x80\x00", walk.ODD),
        (9, b"\x38\x01", walk.ODD),
        (10, b"\x42\x05\x15\x00\x00\x00\x00", walk.ODD),
    ],
)
def test_damaged_packed_fields(otlp: Any, kind: int, more: bytes, flag: int) -> None:
    assert otlp.walk(Signal.METRICS, otlp.point_bytes(kind, more))[1] == flag


@pytest.mark.parametrize("maps", [True, False])
def test_values_are_followed_to_32_levels(otlp: Any, maps: bool) -> None:
    for place in ("span", "event", "log body", "gauge point"):
        signal, request = otlp.places()[place](otlp.nested(walk.MAX_VALUE_LEVELS, maps=maps))
        assert otlp.walk(signal, request.SerializeToString()) == (1, walk.RECORD_REWRITE), place
        deeper = otlp.places()[place](otlp.nested(walk.MAX_VALUE_LEVELS + 1, maps=maps))[1]
        assert otlp.walk(signal, deeper.SerializeToString())[1] & walk.TOO_DEEP, place


def test_depth_without_bottom_stops_the_walk(otlp: Any) -> None:
    value = b"\x18\x01"
    for _ in range(5000):
        value = otlp.field(5, otlp.field(1, value))
    assert otlp.walk(Signal.TRACES, otlp.span_bytes(_attribute(otlp, value)))[1] & walk.TOO_DEEP


def test_references_to_a_string_table_are_flagged(otlp: Any) -> None:
    request = otlp.request(Signal.TRACES)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="k").value.string_value_strindex = 3
    assert otlp.walk(Signal.TRACES, request.SerializeToString()) == (1, walk.STRING_INDEX)
    span.attributes[0].value.int_value = 1
    span.attributes[0].key_strindex = 4
    assert otlp.walk(Signal.TRACES, request.SerializeToString()) == (1, walk.STRING_INDEX)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


UTF8_CORNERS = [
    b"\x7f", b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x7f",
    b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xe2\x82", b"\xe2\x28\xa1", b"\xe2\x82\x28",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98", b"\xf0\x9f\x28\x80",
    b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff",
]  # fmt: skip


@pytest.mark.parametrize("corner", UTF8_CORNERS)
@pytest.mark.parametrize("before", [0, 1, 6, 7, 8, 9, 15, 16, 17, 130])
@pytest.mark.parametrize("after", [0, 1, 8])
def test_text_is_utf8_in_every_alignment(otlp: Any, corner: bytes, before: int, after: int) -> None:
    text = b"a" * before + corner + b"b" * after
    flag = 0 if _is_utf8(text) else walk.BAD_UTF8
    for more in (
        otlp.field(3, text),
        otlp.field(9, otlp.field(1, text) + otlp.field(2, b"\x18\x01")),
        _attribute(otlp, otlp.field(1, text)),
        otlp.field(11, otlp.field(2, text)),
    ):
        assert otlp.walk(Signal.TRACES, otlp.span_bytes(more))[1] == flag


@given(text=st.binary(max_size=40) | st.text(max_size=20).map(lambda t: t.encode("utf-8", "surrogatepass")))
@example(b"")
@example("\N{GREEK SMALL LETTER ALPHA}".encode() * 20)
def test_text_is_what_python_calls_utf8(otlp: Any, text: bytes) -> None:
    assert otlp.walk(Signal.TRACES, otlp.field(1, otlp.field(3, text)))[1] == (
        0 if _is_utf8(text) else walk.BAD_UTF8
    )
