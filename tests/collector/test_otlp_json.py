"""OTLP/JSON: what it maps to, and what it says when it cannot."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector import otlp_json
from collector.check.check import TimeGate, check
from collector.check.walk import MAX_VALUE_LEVELS
from collector.errors import BadRequestError
from collector.otlp_json import request_from_json
from collector.refusals import TooLargeError
from ingest.signals import Signal
from support import faults

LAST = (1 << 64) - 1
REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def converted(signal: Signal, body: bytes, memory_bytes: int = 1 << 30) -> bytes:
    return request_from_json(signal, body, memory_bytes=memory_bytes)


def read(signal: Signal, content: Any) -> Any:
    """The request that JSON text, or an object, is read as."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return REQUESTS[signal].FromString(converted(signal, body))


def span(**fields: Any) -> Any:
    """The span that is read from these keys."""
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}
    return read(Signal.TRACES, request).resource_spans[0].scope_spans[0].spans[0]


def point(kind: str, **fields: Any) -> Any:
    """The point that is read from these keys."""
    metric = {"name": "m", kind: {"dataPoints": [fields]}}
    request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    read_metric = read(Signal.METRICS, request).resource_metrics[0].scope_metrics[0].metrics[0]
    return getattr(read_metric, read_metric.WhichOneof("data")).data_points[0]


def value(content: Any) -> AnyValue:
    """The attribute value that is read from this object."""
    read_value = span(attributes=[{"key": "k", "value": content}]).attributes[0].value
    assert isinstance(read_value, AnyValue)
    return read_value


def fault(signal: Signal, content: Any) -> str:
    """What the sender is told."""
    with pytest.raises(BadRequestError) as refused:
        read(signal, content)
    return str(refused.value)


def span_fault(**fields: Any) -> str:
    told = fault(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": [{}, fields]}]}]})
    start = "the body is not OTLP/JSON: resourceSpans[0].scopeSpans[0].spans[1]."
    assert told.startswith(start)
    return told.removeprefix(start)


def test_a_trace_as_the_specification_writes_it() -> None:
    request = read(
        Signal.TRACES,
        b"""{"resourceSpans": [{
          "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
          "scopeSpans": [{
            "scope": {"name": "my.library", "version": "1.0.0", "attributes": [
              {"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}]},
            "spans": [{
              "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
              "parentSpanId": "EEE19B7EC3C1B173", "name": "I'm a server span",
              "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000,
              "kind": 2,
              "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}],
              "events": [{"timeUnixNano": "1544712660500000000", "name": "e"}],
              "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}],
              "status": {"code": 2, "message": "no"}, "flags": 257
            }]}]}]}""",
    )
    expected = ExportTraceServiceRequest()
    of_resource = expected.resource_spans.add()
    of_resource.resource.attributes.add(key="service.name").value.string_value = "my.service"
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name, of_scope.scope.version = "my.library", "1.0.0"
    attribute = of_scope.scope.attributes.add(key="my.scope.attribute")
    attribute.value.string_value = "some scope attribute"
    trace_id, span_id = bytes.fromhex("5b8efff798038103d269b633813fc60c"), bytes.fromhex("eee19b7ec3c1b174")
    written = of_scope.spans.add(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=bytes.fromhex("eee19b7ec3c1b173"),
        name="I'm a server span",
        start_time_unix_nano=1544712660000000000,
        end_time_unix_nano=1544712661000000000,
        kind=2,
        flags=257,
    )
    written.attributes.add(key="my.span.attr").value.string_value = "some value"
    written.events.add(time_unix_nano=1544712660500000000, name="e")
    written.links.add(trace_id=trace_id, span_id=span_id)
    written.status.code, written.status.message = 2, "no"
    assert request == expected


def test_every_kind_of_value() -> None:
    assert value({"stringValue": "grün\u0000😀"}) == AnyValue(string_value="grün\x00😀")
    assert value({"stringValue": ""}).WhichOneof("value") == "string_value"
    assert value({"boolValue": False}).WhichOneof("value") == "bool_value"
    assert value({"intValue": "-9223372036854775808"}) == AnyValue(int_value=-(1 << 63))
    assert value({"intValue": 0}).WhichOneof("value") == "int_value"
    assert value({"doubleValue": 1}) == AnyValue(double_value=1.0)
    assert value({"bytesValue": "AP8="}) == AnyValue(bytes_value=b"\x00\xff")
    assert value({}).WhichOneof("value") is None
    assert value({"stringValue": None}).WhichOneof("value") is None
    assert value({"arrayValue": {}}).WhichOneof("value") == "array_value"
    assert value({"kvlistValue": {"values": []}}).WhichOneof("value") == "kvlist_value"
    mixed = value({"arrayValue": {"values": [{"intValue": 1}, {"kvlistValue": {"values": [{"key": "a"}]}}]}})
    assert mixed.array_value.values[0].int_value == 1
    assert mixed.array_value.values[1].kvlist_value.values[0].key == "a"


@pytest.mark.parametrize("signal", Signal)
def test_nothing_is_an_empty_request(signal: Signal) -> None:
    assert converted(signal, b"{}") == b""
    assert converted(signal, b' {"resourceSpans": null, "resourceLogs": [], "partial": 1} ') == b""


def test_unknown_keys_and_other_spellings_are_ignored() -> None:
    read_span = span(
        name="n",
        trace_id="zz",
        trace_state=1,
        NAME=3,
        startTimeUnixNano=None,
        kind=None,
        events=None,
        status=None,
        future={"deep": [[[{"a": None}]]]},
    )
    assert read_span.ListFields() == [(read_span.DESCRIPTOR.fields_by_name["name"], "n")]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (b"0", 0),
        (b'"0"', 0),
        (b"18446744073709551615", LAST),
        (b'"18446744073709551615"', LAST),
        (b"1.0", 1),
        (b"1e3", 1000),
        (b"1544712660300000000", 1544712660300000000),
        (b"-0", 0),
        (b"-0.0", 0),
    ],
)
def test_integers_are_numbers_or_texts(text: bytes, time: int) -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":' + text + b"}]}]}]}"
    request = read(Signal.TRACES, body)
    assert request.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano == time


@pytest.mark.parametrize(
    "written",
    [
        "18446744073709551616",
        "123456789012345678901234567890",
        "-1",
        '"-1"',
        '"18446744073709551616"',
        "1.5",
        "1e30",
        "9223372036854775808.0",
        "-9223372036854775809",
        '"1.0"',
        '"1e3"',
        '""',
        '" 1"',
        '"1_0"',
        '"+1"',
        '"0x1"',
        '"\u0661"',
        "true",
        "[]",
        "{}",
    ],
)
def test_what_is_no_unsigned_integer(written: str) -> None:
    body = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":' + written + "}]}]}]}"
    told = fault(Signal.TRACES, body.encode())
    assert "resourceSpans[0].scopeSpans[0].spans[0].startTimeUnixNano: expected an integer" in told


def test_32_bits_are_not_exceeded() -> None:
    assert span(flags=(1 << 32) - 1).flags == (1 << 32) - 1
    assert span_fault(flags=1 << 32).startswith("flags: expected an integer from 0 to 4294967295, got")
    assert span_fault(droppedEventsCount="-1").startswith("droppedEventsCount: ")
    assert point("exponentialHistogram", scale="-2147483648").scale == -(1 << 31)


def test_enums_are_numbers_only() -> None:
    assert span(kind=3.0).kind == 3
    assert span(kind=99).kind == 99  # open: a newer sender may know more kinds
    assert span_fault(kind="SPAN_KIND_SERVER") == (
        "kind: expected the number of an enum value, got the text 'SPAN_KIND_SERVER'"
    )
    assert span_fault(status={"code": "2"}).startswith("status.code: expected the number of an enum value")
    assert span_fault(kind=1 << 31).startswith("kind: expected an integer from -2147483648")
    assert span_fault(kind=True) == "kind: expected an integer, got true"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1.5", 1.5),
        ("-1e-3", -0.001),
        (2, 2.0),
        (0.1, 0.1),
    ],
)
def test_doubles(text: Any, number: float) -> None:
    read_number = point("gauge", asDouble=text).as_double
    assert read_number == number or (math.isnan(read_number) and math.isnan(number))


@pytest.mark.parametrize("text", ["nan", "inf", "-infinity", "", " 1", "1_0", "1e999", "0x1p3", True, [], {}])
def test_what_is_no_double(text: Any) -> None:
    with pytest.raises(BadRequestError, match=r"dataPoints\[0\]\.asDouble: expected a number"):
        point("gauge", asDouble=text)


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"1e400", b"-Infinity", b"01", b"+1", b".5"])
def test_what_is_no_number_in_json(literal: bytes) -> None:
    assert "not valid JSON" in fault(Signal.TRACES, b'{"x":' + literal + b"}")


@pytest.mark.parametrize("text", ["AP8=", "AP8", "_w==", "/w==", "_w", "", "-_+/"])
def test_bytes_are_base64_of_either_alphabet(text: str) -> None:
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    assert value({"bytesValue": text}).bytes_value == base64.b64decode(plain + "=" * (-len(plain) % 4))


@pytest.mark.parametrize("text", ["A", "AP8=A", "A P8=", "AP8===", "ä", "AAAAA", 3, True])
def test_what_is_no_base64(text: Any) -> None:
    assert span_fault(attributes=[{"value": {"bytesValue": text}}]).startswith(
        "attributes[0].value.bytesValue: expected "
    )


def test_ids_are_hexadecimal_of_any_length() -> None:
    """The length is the matter of the check, which refuses the record and not the request."""
    assert span(traceId="00ffAB").trace_id == b"\x00\xff\xab"
    assert span(traceId="").trace_id == b""
    assert point("sum", exemplars=[{"traceId": "ff", "spanId": "aa"}]).exemplars[0].span_id == b"\xaa"
    for text in ("abc", "zz", "0x00", "00 ff", " 00ff", "5B8EFFF798038103D269B633813FC60=", "\u0661\u0661"):
        assert span_fault(parentSpanId=text).startswith(
            "parentSpanId: expected an even number of hexadecimal digits, got the text "
        )
    assert span_fault(links=[{}, {"spanId": 5}]) == "links[1].spanId: expected a text, got the number 5"


def test_wrong_shapes_are_told_with_their_path() -> None:
    assert span_fault(name=5) == "name: expected a text, got the number 5"
    assert span_fault(attributes={}) == "attributes: expected a list, got an object"
    assert span_fault(attributes=[1]) == "attributes[0]: expected an object, got the number 1"
    assert span_fault(attributes=[None]) == "attributes[0]: expected an object, got null"
    assert span_fault(status=[]) == "status: expected an object, got a list"
    assert span_fault(attributes=[{"value": {"boolValue": "true"}}]) == (
        "attributes[0].value.boolValue: expected true or false, got the text 'true'"
    )
    assert fault(Signal.LOGS, []) == "the body is not OTLP/JSON: the body: expected an object, got a list"
    assert fault(Signal.METRICS, {"resourceMetrics": 1}) == (
        "the body is not OTLP/JSON: resourceMetrics: expected a list, got the number 1"
    )


def test_null_is_no_member_of_a_list_of_numbers() -> None:
    with pytest.raises(BadRequestError, match=r"explicitBounds\[1\]: expected a number, got null"):
        point("histogram", explicitBounds=[1.5, None])


def test_repeated_numbers() -> None:
    read_point = point("histogram", bucketCounts=["1", 2, "18446744073709551615"], explicitBounds=[1, "2.5"])
    assert list(read_point.bucket_counts) == [1, 2, LAST]
    assert list(read_point.explicit_bounds) == [1.0, 2.5]


def test_two_members_of_a_oneof_are_an_error() -> None:
    assert span_fault(attributes=[{"value": {"intValue": 1, "stringValue": "a"}}]) == (
        "attributes[0].value.stringValue: only one of the value fields may be given, and another one is"
    )
    assert value({"intValue": 1, "stringValue": None}) == AnyValue(int_value=1)
    two = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {}, "sum": {}}]}]}]}
    assert "only one of the data fields" in fault(Signal.METRICS, two)


def test_optional_numbers_keep_their_presence() -> None:
    read_point = point("histogram", min=0, max=None)
    assert read_point.HasField("min")
    assert not read_point.HasField("max")


def test_of_equal_keys_the_last_counts() -> None:
    request = read(
        Signal.TRACES, b'{"resourceSpans":[{"schemaUrl":"a","schemaUrl":"b"}],"resourceSpans":[{}]}'
    )
    assert [s.schema_url for s in request.resource_spans] == [""]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"{'a':1}",
        b"[" * 100_000,
        b"\x0a\x00",
    ],
)
def test_what_is_not_json(body: bytes) -> None:
    told = fault(Signal.TRACES, body)
    assert told.startswith("the body is not valid JSON: ")
    assert len(told) < 200


def _nested(levels: int, *, maps: bool) -> Any:
    content: Any = {"intValue": 1}
    for _ in range(levels - 1):
        if maps:
            content = {"kvlistValue": {"values": [{"key": "k", "value": content}]}}
        else:
            content = {"arrayValue": {"values": [content]}}
    return content


@pytest.mark.parametrize("maps", [True, False])
def test_values_are_read_to_32_levels(maps: bool) -> None:
    assert value(_nested(MAX_VALUE_LEVELS, maps=maps)).WhichOneof("value") is not None
    for levels in (MAX_VALUE_LEVELS + 1, 100):
        told = span_fault(attributes=[{"value": _nested(levels, maps=maps)}])
        assert told.endswith("attribute values may be nested 32 levels deep, not more")


def test_messages_too_deep_for_protobuf_are_refused() -> None:
    """Only exemplars lie deep enough for it; the check says so, like for protobuf."""
    exemplar = {"filteredAttributes": [{"value": _nested(MAX_VALUE_LEVELS, maps=True)}]}
    metric = {"gauge": {"dataPoints": [{"exemplars": [exemplar]}]}}
    request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    body = converted(Signal.METRICS, json.dumps(request).encode())
    with pytest.raises(BadRequestError, match="nested too deeply"):
        check(Signal.METRICS, body, gate=TimeGate(retention_ns=1), now_ns=1)


@pytest.mark.parametrize(
    ("body", "least"),
    [
        (b'{"x":[' + b",".join([b"{}"] * 1000) + b"]}", 1000 * 200),
        (b'{"x":[' + b",".join([b'"a"'] * 1000) + b"]}", 1000 * 60),
        (b"[" * 1000 + b"]" * 1000, 1000 * 60),
        (b'{"x":"' + b"a" * 1000 + b'"}', 1000),
        (('{"x":"\N{GRINNING FACE}' + "a" * 1000 + '"}').encode(), 4000),
    ],
    ids=["objects", "texts", "lists", "ascii", "wide"],
)
def test_what_is_too_much_for_the_memory_is_refused_before_parsing(body: bytes, least: int) -> None:
    needed = otlp_json.memory_needed(body)
    assert needed >= least
    with pytest.raises(TooLargeError, match="send smaller batches, or protobuf"):
        converted(Signal.TRACES, body, needed - 1)


def test_what_the_memory_is_enough_for_is_read() -> None:
    body = b'{"x":[1,2,3,4,5,6,7,8,9]}'
    assert converted(Signal.TRACES, body, otlp_json.memory_needed(body)) == b""


def test_a_senders_text_is_cut_in_errors() -> None:
    told = span_fault(kind="x\n" * 10_000)
    assert len(told) < 200
    assert told.isprintable()


# Any request, written by protobuf's own JSON writer with the exceptions of OTLP, comes back the same.

NUMBERS = st.integers(0, LAST)
TEXTS = st.text(max_size=6)


@st.composite
def _values(draw: st.DrawFn, levels: int = 3) -> AnyValue:
    kinds = ["none", "string", "bool", "int", "double", "bytes"] + (["list", "map"] if levels else [])
    made = AnyValue()
    match draw(st.sampled_from(kinds)):
        case "string":
            made.string_value = draw(TEXTS)
        case "bool":
            made.bool_value = draw(st.booleans())
        case "int":
            made.int_value = draw(st.integers(-(1 << 63), (1 << 63) - 1))
        case "double":
            made.double_value = draw(st.floats(allow_nan=False))
        case "bytes":
            made.bytes_value = draw(st.binary(max_size=6))
        case "list":
            made.array_value.SetInParent()
            made.array_value.values.extend(draw(st.lists(_values(levels - 1), max_size=2)))
        case "map":
            made.kvlist_value.SetInParent()
            for inner in draw(st.lists(_values(levels - 1), max_size=2)):
                made.kvlist_value.values.add(key=draw(TEXTS)).value.CopyFrom(inner)
    return made


@st.composite
def _requests(draw: st.DrawFn) -> tuple[Signal, Any]:
    signal = draw(st.sampled_from(Signal))
    request = REQUESTS[signal]()
    made = draw(_values())
    match signal:
        case Signal.TRACES:
            written = (
                request.resource_spans.add()
                .scope_spans.add()
                .spans.add(trace_id=draw(st.binary(max_size=16)), parent_span_id=draw(st.binary(max_size=8)))
            )
            written.name, written.kind = draw(TEXTS), draw(st.integers(0, 5))
            written.start_time_unix_nano = draw(NUMBERS)
            written.links.add(span_id=draw(st.binary(max_size=8)), flags=draw(st.integers(0, (1 << 32) - 1)))
            written.attributes.add(key=draw(TEXTS)).value.CopyFrom(made)
        case Signal.LOGS:
            record = request.resource_logs.add().scope_logs.add().log_records.add()
            record.observed_time_unix_nano, record.severity_number = draw(NUMBERS), draw(st.integers(0, 24))
            record.body.CopyFrom(made)
        case Signal.METRICS:
            metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=draw(TEXTS))
            read_point = metric.exponential_histogram.data_points.add(count=draw(NUMBERS))
            read_point.positive.bucket_counts.extend(draw(st.lists(NUMBERS, max_size=3)))
            read_point.positive.offset = draw(st.integers(-(1 << 31), (1 << 31) - 1))
            read_point.zero_threshold = draw(st.floats(allow_nan=False))
            read_point.exemplars.add(as_int=draw(st.integers(-5, 5))).filtered_attributes.add(
                key="k"
            ).value.CopyFrom(made)
    return signal, request


def _with_hex_ids(content: Any) -> Any:
    match content:
        case dict():
            return {
                key: base64.b64decode(member).hex()
                if key in {"traceId", "spanId", "parentSpanId"}
                else _with_hex_ids(member)
                for key, member in content.items()
            }
        case list():
            return [_with_hex_ids(member) for member in content]
        case _:
            return content


# `make faults` tries so many of each; together with those of protobuf and of the views more than 100,000.
fuzzed = settings(max_examples=faults.times(100, 15_000))
long_if_so_asked = pytest.mark.timeout(faults.times(120, 6000))


@long_if_so_asked
@fuzzed
@given(_requests(), st.booleans())
def test_a_request_written_as_json_is_read_back(written: tuple[Signal, Any], defaults: bool) -> None:
    faults.done["bodies of JSON"] += 1
    signal, request = written
    content = json_format.MessageToDict(
        request, use_integers_for_enums=True, always_print_fields_with_no_presence=defaults
    )
    assert read(signal, _with_hex_ids(content)) == request


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["resourceSpans", "scopeSpans", "spans", "attributes", "value", "arrayValue", "values"]
            )
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
)


@long_if_so_asked
@fuzzed
@given(content=JSON, signal=st.sampled_from(Signal))
def test_any_json_is_read_or_refused(content: Any, signal: Signal) -> None:
    faults.done["bodies of JSON"] += 1
    with contextlib.suppress(BadRequestError):
        REQUESTS[signal].FromString(converted(signal, json.dumps(content).encode()))


@long_if_so_asked
@fuzzed
@given(body=st.binary(max_size=60), signal=st.sampled_from(Signal))
def test_any_bytes_are_read_or_refused(body: bytes, signal: Signal) -> None:
    faults.done["bodies of JSON"] += 1
    with contextlib.suppress(BadRequestError):
        REQUESTS[signal].FromString(converted(signal, body))
