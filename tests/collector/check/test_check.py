"""The whole check: what is stored, what is refused, and what the sender is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.check import check as check_module
from collector.check import walk
from collector.check.check import Checked, TimeGate, check, warm_up
from collector.check.rules import groups_of
from collector.errors import BadRequestError, CollectorError
from ingest.signals import Signal
from support import faults

LAST = (1 << 64) - 1
WINDOW = "[2026-09-14T19:33:20Z, 2026-10-14T19:43:20Z]"


@pytest.fixture(scope="module")
def run(otlp: Any) -> Any:
    def run(signal: Signal, request: Any) -> Checked:
        body = request if isinstance(request, bytes) else request.SerializeToString()
        return check(signal, body, gate=otlp.gate, now_ns=otlp.now_ns)

    return run


def test_it_can_be_warmed_up() -> None:
    warm_up()
    assert walk.load() is walk.load()


@pytest.mark.parametrize("signal", Signal)
def test_a_clean_request_is_stored_as_it_came(otlp: Any, run: Any, signal: Signal) -> None:
    request = otlp.rich(signal)
    body = request.SerializeToString()
    checked = run(signal, body)
    assert checked == Checked(body, otlp.count(signal, request), 0, "", "")
    assert checked.body is body


@pytest.mark.parametrize("signal", Signal)
def test_an_empty_request_is_fine(run: Any, signal: Signal) -> None:
    assert run(signal, b"") == Checked(b"", 0, 0, "", "")


def test_what_protobuf_does_not_know_is_dropped(otlp: Any, run: Any) -> None:
    clean = otlp.span_bytes()
    for more in (otlp.numeric(99, 1), otlp.varint(20 << 3 | 3) + otlp.varint(20 << 3 | 4)):
        assert run(Signal.TRACES, otlp.span_bytes(more)) == Checked(clean, 1, 0, "", "")
    columns_of_the_store = otlp.numeric(536_870_001, 7) + otlp.field(536_870_002, b"somebody else")
    assert run(Signal.TRACES, clean + columns_of_the_store) == Checked(clean, 1, 0, "", "")


def test_what_is_written_strangely_is_written_anew(otlp: Any, run: Any) -> None:
    strange = otlp.span_bytes(otlp.field(5, b"again") + b"\x50\x81\x00" + otlp.numeric(12, (1 << 32) + 7))
    checked = run(Signal.TRACES, strange)
    span = otlp.requests[Signal.TRACES].FromString(checked.body).resource_spans[0].scope_spans[0].spans[0]
    assert (checked.items, checked.rejected) == (1, 0)
    assert (span.name, span.dropped_attributes_count, span.dropped_events_count) == ("again", 1, 7)


def test_an_empty_block_of_numbers_goes(otlp: Any, run: Any) -> None:
    checked = run(Signal.METRICS, otlp.point_bytes(9, b"\x3a\x00"))
    assert checked.items == 1
    assert b"\x3a\x00" not in checked.body


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (b"\x1a\x05x", "truncated or damaged, at byte"),
        (b"\x1a\x01\xff", "a text field is not UTF-8, at byte"),
        (b"\x00\x00", "Wire format was corrupt, at byte"),
        (b"\x0c", "Wire format was corrupt, at byte"),
    ],
)
def test_what_is_not_a_request_is_refused(otlp: Any, run: Any, damage: bytes, words: str) -> None:
    with pytest.raises(BadRequestError, match=words) as refused:
        run(Signal.TRACES, otlp.span_bytes(damage))
    assert str(refused.value).startswith("not a valid ExportTraceServiceRequest: ")
    assert f"at byte {len(otlp.span_bytes())}" in str(refused.value)


@pytest.mark.parametrize("maps", [True, False])
def test_values_nested_too_deeply_are_refused(otlp: Any, run: Any, maps: bool) -> None:
    for place in ("span", "log body", "gauge point"):
        signal, request = otlp.places()[place](otlp.nested(32, maps=maps))
        assert run(signal, request).items == 1, place
        with pytest.raises(BadRequestError, match="32 levels"):
            run(signal, _encoded(otlp, signal, place, 33, maps=maps))


def _encoded(otlp: Any, signal: Signal, place: str, levels: int, *, maps: bool) -> bytes:
    """Too deep for protobuf to write, so by hand."""
    value = b"\x18\x01"
    for _ in range(levels - 1):
        inner = otlp.field(1, b"k") + otlp.field(2, value) if maps else value
        value = otlp.field(6 if maps else 5, otlp.field(1, inner))
    match place:
        case "log body":
            return otlp.in_record(otlp.field(5, value))
        case "span":
            return otlp.span_bytes(otlp.field(9, otlp.field(2, value)))
        case _:
            return otlp.point_bytes(5, otlp.field(7, otlp.field(2, value)))


def test_depth_is_refused_behind_an_oddity_too(otlp: Any, run: Any) -> None:
    for levels in (40, 3000):
        deep = _encoded(otlp, Signal.LOGS, "log body", levels, maps=False)
        with pytest.raises(BadRequestError):
            run(Signal.LOGS, otlp.numeric(99, 1) + deep)


def test_values_that_cannot_be_held_become_json(otlp: Any, run: Any, unheld: Any) -> None:
    for name, value in otlp.values().items():
        for place, build in otlp.places().items():
            signal, request = build(value)
            checked = run(signal, request)
            stored = otlp.requests[signal].FromString(checked.body)
            assert (checked.items, checked.rejected, checked.reason, checked.warning) == (1, 0, "", "")
            assert (stored == request) == (name not in unheld), (name, place)
            assert otlp.walk(signal, checked.body) == (1, 0)


def test_spans_are_refused_with_reasons(otlp: Any, run: Any) -> None:
    request = otlp.requests[Signal.TRACES]()
    good = otlp.add_span(request)
    now = otlp.now_ns
    spans = request.resource_spans[0].scope_spans[0].spans
    for changes in (
        {"start_time_unix_nano": 0, "end_time_unix_nano": 5},
        {"end_time_unix_nano": LAST},
        {"start_time_unix_nano": now, "end_time_unix_nano": now - 1},
        {"trace_id": b""},
        {"trace_id": b"short"},
        {"span_id": bytes(8)},
        {"parent_span_id": b"short"},
        {"name": "fine"},
    ):
        span = spans.add()
        span.CopyFrom(good)
        for name, value in changes.items():
            setattr(span, name, value)
    checked = run(Signal.TRACES, request)
    assert (checked.items, checked.rejected, checked.warning) == (2, 7, "")
    assert checked.reason == (
        f"7 of 9 spans refused: 2 outside the accepted time window {WINDOW}"
        " (first: span 'GET /x' of service 'cart' starts 1970-01-01T00:00:00Z),"
        " 1 with an end before the start (first: span 'GET /x' of service 'cart' starts"
        " 2026-10-14T19:33:20Z and ends 2026-10-14T19:33:19.999999999Z),"
        " 2 with an invalid trace id (first: span 'GET /x' of service 'cart' has no trace id),"
        " 1 with an invalid span id (first: span 'GET /x' of service 'cart' has a span id that is all zero),"
        " 1 with an invalid parent span id"
        " (first: span 'GET /x' of service 'cart' has a parent span id of 5 bytes)"
    )
    stored = otlp.requests[Signal.TRACES].FromString(checked.body)
    assert [s.name for s in stored.resource_spans[0].scope_spans[0].spans] == ["GET /x", "fine"]


def test_logs_are_refused_with_reasons(otlp: Any, run: Any) -> None:
    request = otlp.requests[Signal.LOGS]()
    otlp.add_log(request, time_unix_nano=0, observed_time_unix_nano=5)
    otlp.add_log(request, time_unix_nano=LAST)
    otlp.add_log(request, time_unix_nano=0)
    checked = run(Signal.LOGS, request)
    assert (checked.items, checked.rejected) == (1, 2)
    assert checked.reason == (
        f"2 of 3 log records refused: 2 outside the accepted time window {WINDOW}"
        " (first: a log record of service 'cart' was observed 1970-01-01T00:00:00.000000005Z)"
    )


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponential_histogram", "summary"])
def test_points_are_refused_with_reasons(otlp: Any, run: Any, kind: str) -> None:
    request = otlp.requests[Signal.METRICS]()
    now = otlp.now_ns
    otlp.add_points(request, kind, [now, now - 40 * 86_400 * 10**9, now - 1, 1 << 63])
    otlp.add_points(request, kind, [0])
    request.resource_metrics[1].resource.Clear()
    checked = run(Signal.METRICS, request)
    assert (checked.items, checked.rejected) == (2, 3)
    assert checked.reason == (
        f"3 of 5 data points refused: 3 outside the accepted time window {WINDOW}"
        " (first: a point of metric 'cpu' of service 'cart' is of 2026-09-04T19:33:20Z)"
    )
    stored = otlp.requests[Signal.METRICS].FromString(checked.body)
    metrics = [r.scope_metrics[0].metrics[0] for r in stored.resource_metrics]
    times = [[p.time_unix_nano for p in getattr(m, kind).data_points] for m in metrics]
    assert times == [[now, now - 1], []]


def test_one_record_is_one_record(otlp: Any, run: Any) -> None:
    request = otlp.requests[Signal.TRACES]()
    otlp.add_span(request, trace_id=b"x")
    request.resource_spans[0].resource.Clear()
    assert run(Signal.TRACES, request).reason == (
        "1 of 1 span refused: 1 with an invalid trace id"
        " (first: span 'GET /x' of an unnamed service has a trace id of 1 bytes)"
    )


def test_a_senders_text_is_cut_and_made_printable(otlp: Any, run: Any) -> None:
    request = otlp.requests[Signal.TRACES]()
    otlp.add_span(request, "evil\r\n\x1b[31m\u202e", name="n" * 10_000, trace_id=b"")
    reason = run(Signal.TRACES, request).reason
    assert reason.isprintable()
    assert len(reason) < 300
    assert "n" * 79 + "…'" in reason


def test_many_refused_among_many_take_no_quadratic_time(otlp: Any, run: Any) -> None:
    """Taken out one by one, these would take minutes (the test has a timeout)."""
    request = otlp.requests[Signal.METRICS]()
    otlp.add_points(request, "gauge", [otlp.now_ns, 1] * 200_000)
    checked = run(Signal.METRICS, request)
    assert (checked.items, checked.rejected) == (200_000, 200_000)


@pytest.mark.parametrize("value", [b"x" * 8, b"x" * 17])
def test_ids_of_the_wrong_length_are_cleared_with_a_remark(otlp: Any, run: Any, value: bytes) -> None:
    traces, metrics, logs = (otlp.request(s) for s in (Signal.TRACES, Signal.METRICS, Signal.LOGS))
    link = traces.resource_spans[0].scope_spans[0].spans[0].links.add(trace_id=value, span_id=b"12345678")
    record = logs.resource_logs[0].scope_logs[0].log_records[0]
    record.trace_id = value
    metric = metrics.resource_metrics[0].scope_metrics[0].metrics[0]
    exemplar = metric.gauge.data_points[0].exemplars.add(trace_id=value)
    for signal, request, holder, noun in (
        (Signal.TRACES, traces, link, "link"),
        (Signal.METRICS, metrics, exemplar, "exemplar"),
        (Signal.LOGS, logs, record, "log record"),
    ):
        checked = run(signal, request)
        assert (checked.items, checked.rejected, checked.reason) == (1, 0, "")
        assert checked.warning == (
            "1 trace ids of the wrong length cleared"
            f" (first: {len(value)} bytes, in a {noun} of service 'cart')"
        )
        holder.ClearField("trace_id")
        assert otlp.requests[signal].FromString(checked.body) == request


def test_ids_that_are_all_zero_are_no_ids(otlp: Any, run: Any) -> None:
    """OTLP: the record then belongs to no trace, the span has no parent."""
    traces, logs = otlp.request(Signal.TRACES), otlp.request(Signal.LOGS)
    clean = traces.SerializeToString(), logs.SerializeToString()
    traces.resource_spans[0].scope_spans[0].spans[0].parent_span_id = bytes(8)
    record = logs.resource_logs[0].scope_logs[0].log_records[0]
    record.trace_id, record.span_id = bytes(16), bytes(8)
    assert run(Signal.TRACES, traces) == Checked(clean[0], 1, 0, "", "")
    assert run(Signal.LOGS, logs) == Checked(clean[1], 1, 0, "", "")


def test_references_to_a_string_table_are_taken_as_absent_with_a_remark(otlp: Any, run: Any) -> None:
    request = otlp.request(Signal.LOGS)
    clean = request.SerializeToString()
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.body.string_value_strindex = 7
    request.resource_logs[0].resource.attributes[0].key_strindex = 8
    checked = run(Signal.LOGS, request)
    record.body.Clear()
    request.resource_logs[0].resource.attributes[0].ClearField("key_strindex")
    assert otlp.requests[Signal.LOGS].FromString(checked.body) == request
    assert request.SerializeToString() != clean
    assert checked.warning == ("2 references to a string table, which only profiles have, taken as absent")


def test_everything_at_once(otlp: Any, run: Any) -> None:
    request = otlp.request(Signal.TRACES, 3)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b""
    span = request.resource_spans[1].scope_spans[0].spans[0]
    span.attributes.add(key="deep").value.CopyFrom(otlp.nested(5, maps=True))
    span.links.add(span_id=b"x")
    checked = run(Signal.TRACES, request.SerializeToString() + otlp.numeric(99, 1))
    assert (checked.items, checked.rejected) == (2, 1)
    assert checked.reason.startswith("1 of 3 spans refused")
    assert checked.warning.startswith("1 span ids of the wrong length cleared")
    stored = otlp.requests[Signal.TRACES].FromString(checked.body)
    kept = stored.resource_spans[1].scope_spans[0].spans[0]
    assert kept.attributes[0].value == AnyValue(string_value='{"k":{"k":{"k":{"k":1}}}}')
    assert kept.links[0].span_id == b""


def test_the_body_it_gives_is_walked_again(otlp: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the slow way ever miss what the walk sees, nothing reaches the spool."""
    signal, request = otlp.places()["span"](otlp.values()["empty list"])
    monkeypatch.setattr(check_module, "make_holdable", lambda *_, **__: None)
    with pytest.raises(CollectorError, match="still not clean") as failed:
        run(signal, request)
    assert not isinstance(failed.value, BadRequestError)


IDS = st.sampled_from([b"", bytes(8), bytes(16), b"x" * 8, b"x" * 16, b"x" * 5])
OFFSETS = st.sampled_from([0, -1, 1, -30 * 86_400 * 10**9, 600 * 10**9])


@st.composite
def _times(draw: st.DrawFn) -> tuple[int, int]:
    near = st.builds(lambda a, b: a + b, OFFSETS, st.integers(-2, 2))
    far = st.sampled_from([None, 0, 1, 1 << 63, LAST])
    return draw(st.tuples(near | far, near | far))


@pytest.mark.timeout(faults.times(120, 3000))
@settings(max_examples=faults.times(100, 5000))
@given(data=st.data(), signal=st.sampled_from(Signal))
def test_any_record_is_either_kept_or_refused(
    otlp: Any, run: Any, data: st.DataObject, signal: Signal
) -> None:
    """The rules of the slow way and of the walk are the same, and nothing is lost or changed on the way."""
    faults.done["bodies of protobuf"] += 1
    request = otlp.request(signal, 0)
    now = otlp.now_ns

    def near_or_far(time: int | None) -> int:
        return now if time is None else time if time in {0, 1, 1 << 63, LAST} else now + time

    for _ in range(data.draw(st.integers(1, 4))):
        first, second = (near_or_far(t) for t in data.draw(_times()))
        match signal:
            case Signal.TRACES:
                span = otlp.add_span(request, start_time_unix_nano=first, end_time_unix_nano=second)
                if data.draw(st.booleans()):
                    span.trace_id, span.span_id = data.draw(IDS), data.draw(IDS)
                    span.parent_span_id = data.draw(IDS)
                span.links.add(trace_id=data.draw(IDS), span_id=data.draw(IDS))
            case Signal.LOGS:
                record = otlp.add_log(request, time_unix_nano=first, observed_time_unix_nano=second)
                record.trace_id, record.span_id = data.draw(IDS), data.draw(IDS)
            case Signal.METRICS:
                metric = otlp.add_points(request, "histogram", [first, second])
                point = metric.histogram.data_points[0]
                point.exemplars.add(trace_id=data.draw(IDS), span_id=data.draw(IDS))
    checked = run(signal, request)
    assert checked.items + checked.rejected == otlp.count(signal, request)
    assert bool(checked.reason) == (checked.rejected > 0)
    assert run(signal, checked.body) == Checked(checked.body, checked.items, 0, "", "", checked.timed)
    assert checked.timed == all(_times_of(signal, otlp.requests[signal].FromString(checked.body)))


def _times_of(signal: Signal, request: Any) -> list[int]:
    """The time of each record, 0 if it has none."""
    return [
        record.time_unix_nano or record.observed_time_unix_nano
        if signal is Signal.LOGS
        else record.start_time_unix_nano
        if signal is Signal.TRACES
        else record.time_unix_nano
        for group in groups_of(signal, request)
        for record in group.records
    ]


@pytest.mark.parametrize("now_ns", [0, 1, 1 << 63, LAST])
@pytest.mark.parametrize("retention_ns", [0, 10**18, LAST, 10**30])
def test_no_clock_or_retention_overflows(otlp: Any, now_ns: int, retention_ns: int) -> None:
    request = otlp.requests[Signal.LOGS]()
    otlp.add_log(request, time_unix_nano=now_ns or 1)
    otlp.add_log(request, time_unix_nano=0)
    gate = TimeGate(retention_ns=retention_ns)
    checked = check(Signal.LOGS, request.SerializeToString(), gate=gate, now_ns=now_ns)
    assert (checked.items, checked.rejected) == (2, 0)
