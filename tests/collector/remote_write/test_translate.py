"""Remote write becomes the OTLP that it means, and nothing else: compared with what protobuf and plain Python
make of the same request."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.check.check import TimeGate, look
from collector.door import Form
from collector.errors import BadRequestError
from collector.refusals import TooLargeError
from collector.remote_write import translate as module
from collector.remote_write.counting import written_in
from collector.remote_write.translate import Translated, translate
from ingest.signals import Signal
from support.remote_write import (
    STALE_BITS,
    Request,
    Symbols,
    WriteRequest,
    bits,
    meaning_of,
    points_of,
)

NOW_NS = 1_790_000_000_123_456_789
NOW_MS = NOW_NS // 10**6
STALE = struct.unpack("<d", STALE_BITS.to_bytes(8, "little"))[0]


def translated(form: Form, body: bytes, limit_bytes: int = 1 << 26) -> Translated:
    return translate(form, body, now_ns=NOW_NS, limit_bytes=limit_bytes, grow=lambda size: None)


def otlp(found: Translated) -> Any:
    request = ExportMetricsServiceRequest()
    request.ParseFromString(found.body)
    return request


def form_of(request: Any) -> Form:
    return Form.WRITE_1 if isinstance(request, WriteRequest) else Form.WRITE_2


def expect(request: Any) -> Translated:
    """Translate it and compare; what is left must be clean to the check."""
    body = request.SerializeToString()
    found = translated(form_of(request), body)
    meaning = meaning_of(request, NOW_NS)
    assert points_of(otlp(found)) == meaning.points
    assert found.refused == meaning.refused
    assert bool(found.reason) == bool(found.refused)
    assert written_in(found.body) == found.written
    elements = sum(
        len(series.samples) + len(series.histograms) + len(series.exemplars) for series in request.timeseries
    )
    written = found.written
    empty = sum(
        not (series.samples or series.histograms or series.exemplars) for series in request.timeseries
    )
    assert written.samples + written.histograms + written.exemplars + found.refused == elements + empty
    if found.body:
        checked = look(Signal.METRICS, found.body, gate=TimeGate(1 << 64, 1 << 64), now_ns=NOW_NS)
        assert checked is not None, "the check would have to repair it"
        assert checked.items == meaning.points.total()
    return found


def version_1(*series: dict[str, Any], metadata: Any = ()) -> Any:
    request = WriteRequest()
    for one in series:
        added = request.timeseries.add()
        for name, value in one["labels"].items():
            added.labels.add(name=name, value=value)
        for name in ("samples", "histograms"):
            for element in one.get(name, ()):
                getattr(added, name).add(**element)
        for exemplar in one.get("exemplars", ()):
            labels = [{"name": name, "value": value} for name, value in exemplar["labels"].items()]
            added.exemplars.add(**{**exemplar, "labels": labels})
    for entry in metadata:
        request.metadata.add(**entry)
    return request


def version_2(*series: dict[str, Any]) -> Any:
    request = Request()
    symbols = Symbols()
    for one in series:
        added = request.timeseries.add(labels_refs=symbols.pairs(one["labels"]))
        for name in ("samples", "histograms"):
            for element in one.get(name, ()):
                getattr(added, name).add(**element)
        for exemplar in one.get("exemplars", ()):
            added.exemplars.add(**{
                **{key: value for key, value in exemplar.items() if key != "labels"},
                "labels_refs": symbols.pairs(exemplar["labels"]),
            })  # fmt: skip
        added.metadata.type = one.get("type", 0)
        added.metadata.help_ref, added.metadata.unit_ref = (
            symbols(one.get("help", "")),
            symbols(one.get("unit", "")),
        )
    request.symbols.extend(symbols.numbers)
    return request


UP = {"__name__": "up", "instance": "a:9", "job": "shop/api"}
SAMPLE = {"value": 1.5, "timestamp": NOW_MS}

_NAMES = st.sampled_from(["a", "b", "c_sum", "d_count", "e_bucket", "_sum", "täglich", ""])
_LABELS = st.dictionaries(
    st.sampled_from(
        ["zone", "job", "instance", "trace_id", "span_id", "z" * 200, "änd", "le", "jab", "__name_x"]
    ),
    st.sampled_from(
        ["", "shop", "shop/api", "a/b/c", "/x", "x/", "7" * 32, "7" * 16, "0" * 32, "g" * 32, "ü" * 90]
    ),
    max_size=6,
)
_TIMES = st.sampled_from([0, 1, -1, NOW_MS, NOW_MS - 5, 2**63 - 1, 18_446_744_073_709, 18_446_744_073_710])
_DOUBLES = st.floats() | st.sampled_from([STALE, 0.0, -0.0])
_SAMPLES = st.fixed_dictionaries({"value": _DOUBLES, "timestamp": _TIMES})
_EXEMPLARS = st.fixed_dictionaries({"labels": _LABELS, "value": _DOUBLES, "timestamp": _TIMES})


@st.composite
def _sides(draw: Any, name: str, is_float: bool) -> dict[str, Any]:
    counts = draw(st.lists(st.integers(0, 2**40), max_size=8))
    lengths = []
    left = len(counts) + draw(st.sampled_from([0, 0, 0, 0, 1]))
    while left > 0:
        lengths.append(draw(st.integers(0, left)) if len(lengths) < 4 else left)
        left -= lengths[-1]
    offsets = [draw(st.integers(-9, 9))] + [
        draw(st.integers(-1 if draw(st.booleans()) else 0, 30)) for _ in lengths
    ]
    spans = [{"offset": offset, "length": length} for offset, length in zip(offsets, lengths, strict=False)]
    if is_float:
        values = [float(count) for count in counts]
        return {f"{name}_spans": spans, f"{name}_counts": values}
    deltas = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
    return {f"{name}_spans": spans, f"{name}_deltas": deltas}


@st.composite
def _histograms(draw: Any) -> dict[str, Any]:
    is_float = draw(st.booleans())
    kind = "float" if is_float else "int"
    number = st.integers(0, 2**50).map(float) | st.just(0.5) if is_float else st.integers(0, 2**63 - 1)
    schema = draw(st.sampled_from([-53, -4, 0, 3, 8, 21]))
    histogram = {
        f"count_{kind}": draw(number),
        f"zero_count_{kind}": draw(number),
        "sum": draw(_DOUBLES),
        "schema": schema,
        "zero_threshold": draw(st.sampled_from([0.0, 1e-128])),
        "reset_hint": draw(st.sampled_from([0, 0, 3])),
        "timestamp": draw(_TIMES),
        **draw(_sides("positive", is_float)),
    }
    if schema == -53:
        histogram["custom_values"] = sorted(draw(st.lists(st.floats(-9, 9), max_size=60)))
        if histogram["positive_spans"]:
            histogram["positive_spans"][0]["offset"] = abs(histogram["positive_spans"][0]["offset"])
    else:
        histogram |= draw(_sides("negative", is_float))
        if histogram["positive_spans"]:
            histogram["positive_spans"][0]["offset"] = draw(
                st.just(histogram["positive_spans"][0]["offset"])
                | st.sampled_from([-(2**31), 1 - 2**31, 2**31 - 2, 2**31 - 1])
            )
    return histogram


@st.composite
def _series(draw: Any) -> dict[str, Any]:
    labels = dict(draw(_LABELS))
    if draw(st.sampled_from([True, True, True, False])):
        labels["__name__"] = draw(_NAMES)
    labels = dict(
        draw(st.permutations(sorted(labels.items()))) if draw(st.booleans()) else sorted(labels.items())
    )
    which = draw(st.sampled_from(["samples", "samples", "histograms", "none"]))
    one: dict[str, Any] = {"labels": labels, "exemplars": draw(st.lists(_EXEMPLARS, max_size=2))}
    if which == "samples":
        one["samples"] = draw(st.lists(_SAMPLES, min_size=1, max_size=3))
    elif which == "histograms":
        one["histograms"] = draw(st.lists(_histograms(), min_size=1, max_size=2))
    one["type"] = draw(st.integers(0, 9))
    one["help"], one["unit"] = draw(st.sampled_from(["", "What it is."])), draw(st.sampled_from(["", "s"]))
    return one


_METADATA = st.fixed_dictionaries({
    "type": st.integers(-1, 9), "metric_family_name": _NAMES, "help": st.sampled_from(["", "Hilfe für alle"]),
    "unit": st.sampled_from(["", "bytes"]),
})  # fmt: skip


@given(st.lists(_series(), max_size=5), st.lists(_METADATA, max_size=2))
def test_version_1_means_what_is_written(series: list[Any], metadata: list[Any]) -> None:
    expect(version_1(*series, metadata=metadata))


@given(st.lists(_series(), max_size=5))
def test_version_2_means_what_is_written(series: list[Any]) -> None:
    expect(version_2(*series))


def test_stale_markers_and_nan_keep_their_bits() -> None:
    other_nan = struct.unpack("<d", (0x7FF8000000000001).to_bytes(8, "little"))[0]
    samples = [
        {"value": value, "timestamp": NOW_MS + at} for at, value in enumerate([STALE, other_nan, -0.0])
    ]
    (metric,) = (
        otlp(expect(version_1({"labels": UP, "samples": samples})))
        .resource_metrics[0]
        .scope_metrics[0]
        .metrics
    )
    found = {point.time_unix_nano // 10**6 - NOW_MS: point for point in metric.gauge.data_points}
    assert [bits(found[at].as_double) for at in range(3)] == [STALE_BITS, 0x7FF8000000000001, 1 << 63]
    assert [found[at].flags for at in range(3)] == [1, 0, 0]


def test_series_of_a_target_are_one_resource_and_of_a_name_one_metric() -> None:
    series = [
        {"labels": {**UP, "instance": instance, "zone": zone, "__name__": name}, "samples": [SAMPLE]}
        for zone in "abc"
        for instance in ("a:9", "b:9")
        for name in ("up", "down")
    ]
    request = otlp(expect(version_1(*series)))
    assert [
        [pair.value.string_value for pair in entry.resource.attributes] for entry in request.resource_metrics
    ] == [["shop", "api", "a:9"], ["shop", "api", "b:9"]]
    for entry in request.resource_metrics:
        metrics = entry.scope_metrics[0].metrics
        assert [metric.name for metric in metrics] == ["up", "down"]
        assert all(len(metric.gauge.data_points) == 3 for metric in metrics)


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"job": "a"}, "1 of series without the label __name__ (first: series 2, without a name)"),
        (
            {"__name__": "x", "": "v"},
            "1 of series with a label without a name (first: series 2, without a name)",
        ),
        ({"__name__": "x"} | {f"l{n}": "v" for n in range(128)}, "1 of series with more than 128 labels"),
    ],
)
def test_what_is_wrong_with_a_series_is_told(labels: dict[str, str], why: str) -> None:
    good = {"labels": UP, "samples": [SAMPLE, SAMPLE]}
    for request in (version_1, version_2):
        found = expect(request(good, {"labels": labels, "samples": [SAMPLE]}))
        assert found.reason.startswith(f"1 of 3 samples, histograms and exemplars refused: {why}")
        assert found.written.samples == 2


def test_labels_out_of_order_are_the_same_series() -> None:
    ordered, reversed_ = (
        {"labels": dict(pairs), "samples": [SAMPLE]} for pairs in (UP.items(), [*UP.items()][::-1])
    )
    extra = {"b": "2", "a": "1"}
    request = otlp(expect(version_1({**ordered, "labels": UP | extra}, {**reversed_, "labels": extra | UP})))
    first, second = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    assert first.attributes == second.attributes


def test_a_label_given_twice_is_refused() -> None:
    request = version_1({"labels": UP, "samples": [SAMPLE]})
    request.timeseries[0].labels.add(name="job", value="other")
    assert "a label given twice" in expect(request).reason


def test_text_that_is_not_utf8_is_refused_by_the_series() -> None:
    good, bad = ({"labels": UP | {"zone": zone}, "samples": [SAMPLE]} for zone in ("ok", "XX"))
    for form, request in ((Form.WRITE_1, version_1(good, bad)), (Form.WRITE_2, version_2(good, bad))):
        found = translated(form, request.SerializeToString().replace(b"XX", b"\xff\xff"))
        assert (found.written.samples, found.refused) == (1, 1)
        assert "not UTF-8 (first: series 2, " in found.reason


@pytest.mark.parametrize("references", [[1, 2, 3], [1, 99]])
def test_references_must_be_pairs_and_there(references: list[int]) -> None:
    request = version_2({"labels": UP, "samples": [SAMPLE]}, {"labels": UP, "samples": [SAMPLE]})
    del request.timeseries[1].labels_refs[:]
    request.timeseries[1].labels_refs.extend(references)
    found = expect(request)
    assert "refer to symbols that are not there" in found.reason
    assert found.written.samples == 1


def test_the_first_symbol_must_be_empty() -> None:
    request = version_2({"labels": UP, "samples": [SAMPLE]})
    request.symbols[0] = "x"
    with pytest.raises(BadRequestError, match="first symbol"):
        translated(Form.WRITE_2, request.SerializeToString())


def test_the_other_message_is_not_an_empty_request() -> None:
    """A sender would take it for stored."""
    series = {"labels": UP, "samples": [SAMPLE]}
    with pytest.raises(BadRequestError, match=r"another message than io\.prometheus\.write\.v2"):
        translated(Form.WRITE_2, version_1(series).SerializeToString())
    with pytest.raises(BadRequestError, match=r"another message than prometheus\.WriteRequest"):
        translated(Form.WRITE_1, version_2(series).SerializeToString())
    assert translated(Form.WRITE_1, b"") == translated(Form.WRITE_2, b"") == Translated(b"")


def test_native_histograms_keep_every_bucket() -> None:
    histogram = {
        "count_int": 12, "sum": 18.4, "schema": 1, "zero_threshold": 0.001, "zero_count_int": 2,
        "positive_spans": [{"offset": 0, "length": 2}, {"offset": 1, "length": 2}],
        "positive_deltas": [1, 1, -1, 0], "negative_spans": [{"offset": -3, "length": 1}],
        "negative_deltas": [5], "timestamp": NOW_MS,
    }  # fmt: skip
    request = otlp(expect(version_1({"labels": UP, "histograms": [histogram]})))
    (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points
    # Upper bounds are named in one format, lower ones in the other.
    assert (point.positive.offset, list(point.positive.bucket_counts)) == (-1, [1, 2, 0, 1, 1])
    assert (point.negative.offset, list(point.negative.bucket_counts)) == (-4, [5])
    assert (point.scale, point.count, point.zero_count, point.zero_threshold) == (1, 12, 2, 0.001)


def test_a_histogram_that_ends_is_flagged() -> None:
    found = otlp(
        expect(version_2({"labels": UP, "histograms": [{"sum": STALE, "timestamp": NOW_MS}], "type": 3}))
    )
    (point,) = found.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points
    assert (point.flags, bits(point.sum)) == (1, STALE_BITS)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"positive_spans": [{"offset": 0, "length": 9}]}, "contradict"),
        ({"positive_deltas": [-1, 2]}, "contradict"),
        ({"count_int": 2**63}, "out of range"),
        ({"positive_spans": [{"offset": -(2**31), "length": 2}]}, "out of range"),
        ({"schema": -53, "custom_values": [1.0, 1.0]}, "contradict"),
        ({"schema": -53, "custom_values": [1.0, math.nan]}, "contradict"),
        ({"schema": -53, "custom_values": [1.0, math.inf]}, "contradict"),
        ({"positive_spans": [{"offset": 0, "length": 1}, {"offset": 2**30, "length": 1}]}, "16384 buckets"),
        ({"positive_deltas": [], "positive_counts": [0.5, 1.0]}, "no whole numbers"),
    ],
)
def test_histograms_that_cannot_be_held_are_refused(changed: dict[str, Any], why: str) -> None:
    histogram = {
        "positive_spans": [{"offset": 0, "length": 2}], "positive_deltas": [1, 1], "timestamp": NOW_MS,
        **changed,
    }  # fmt: skip
    found = expect(version_1({"labels": UP, "histograms": [histogram]}, {"labels": UP, "samples": [SAMPLE]}))
    assert why in found.reason
    assert (found.written.samples, found.written.histograms, found.refused) == (1, 0, 1)


def test_labels_of_many_samples_are_not_written_without_end() -> None:
    """Sent once, they stand with each point: a megabyte would become a hundred gigabytes."""
    long = {"labels": UP | {"zone": "z" * 1_000_000}, "samples": [SAMPLE] * 1000}
    held: list[int] = []
    with pytest.raises(TooLargeError, match="more than 67108864 bytes"):
        translate(
            Form.WRITE_1,
            version_1(long).SerializeToString(),
            now_ns=NOW_NS,
            limit_bytes=1 << 26,
            grow=held.append,
        )
    assert sum(held) < 1 << 20


def test_symbols_of_many_series_are_not_written_without_end() -> None:
    series = [{"labels": UP | {"zone": "z" * 1_000_000}, "samples": [SAMPLE]} for _ in range(100)]
    body = version_2(*series).SerializeToString()
    assert len(body) < 1_010_000
    with pytest.raises(TooLargeError):
        translated(Form.WRITE_2, body)


def test_metadata_is_not_written_without_end() -> None:
    """An empty entry of two bytes may take 192."""
    held: list[int] = []
    with pytest.raises(TooLargeError, match="more than 67108864 bytes"):
        translate(Form.WRITE_1, b"\x1a\0" * (1 << 19), now_ns=NOW_NS, limit_bytes=1 << 26, grow=held.append)
    assert sum(held) < 1 << 20


@pytest.mark.parametrize(("name", "form", "unit"), [
    ("MAX_SERIES", Form.WRITE_1, b"\x0a\x00"), ("MAX_SERIES", Form.WRITE_2, b"\x2a\x00"),
    ("MAX_SYMBOLS", Form.WRITE_2, b"\x22\x00"),
])  # fmt: skip
def test_too_many_of_them_are_refused_before_memory_is_taken(name: str, form: Form, unit: bytes) -> None:
    held: list[int] = []
    body = unit * (getattr(module, name) + 1)
    with pytest.raises(TooLargeError, match="are allowed; send fewer in one"):
        translate(form, body, now_ns=NOW_NS, limit_bytes=1 << 26, grow=held.append)
    assert not held


def test_memory_is_counted_before_it_is_taken() -> None:
    class FullError(Exception):
        pass

    def grow(size: int) -> None:
        raise FullError(size)

    with pytest.raises(FullError):
        translate(
            Form.WRITE_1,
            version_1({"labels": UP, "samples": [SAMPLE]}).SerializeToString(),
            now_ns=NOW_NS,
            limit_bytes=1 << 26,
            grow=grow,
        )


@pytest.mark.parametrize("size", [2, 5, 11, 58, 127])
def test_as_many_labels_as_there_may_be_in_any_order(size: int) -> None:
    names = [f"l{number}" for number in range(size)]
    for seed in range(5):
        random.Random(seed).shuffle(names)
        labels = {"__name__": "up"} | dict.fromkeys(names, "v")
        for request in (version_1, version_2):
            found = expect(request({"labels": labels, "samples": [SAMPLE]}))
            assert found.written.samples == 1
        twice = version_1({"labels": labels, "samples": [SAMPLE]})
        twice.timeseries[0].labels[-1].name = names[0]
        assert "a label given twice" in expect(twice).reason
