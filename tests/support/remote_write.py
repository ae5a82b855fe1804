"""Prometheus remote write as protobuf itself reads it: the messages, made from what prompb/remote.proto,
prompb/types.proto and prompb/io/prometheus/write/v2/types.proto say, and what such a request means in OTLP,
written once more in plain Python.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
STALE_BITS = 0x7FF0000000000002
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")

_HISTOGRAM = [
    ("count_int", 1, "uint64", "count"), ("count_float", 2, "double", "count"), ("sum", 3, "double"),
    ("schema", 4, "sint32"), ("zero_threshold", 5, "double"), ("zero_count_int", 6, "uint64", "zero_count"),
    ("zero_count_float", 7, "double", "zero_count"), ("negative_spans", 8, "*BucketSpan"),
    ("negative_deltas", 9, "*sint64"), ("negative_counts", 10, "*double"),
    ("positive_spans", 11, "*BucketSpan"),
    ("positive_deltas", 12, "*sint64"), ("positive_counts", 13, "*double"), ("reset_hint", 14, "int32"),
    ("timestamp", 15, "int64"), ("custom_values", 16, "*double"),
]  # fmt: skip
_SPAN = [("offset", 1, "sint32"), ("length", 2, "uint32")]
_VERSION_1 = {
    "Label": [("name", 1, "string"), ("value", 2, "string")],
    "Sample": [("value", 1, "double"), ("timestamp", 2, "int64")],
    "Exemplar": [("labels", 1, "*Label"), ("value", 2, "double"), ("timestamp", 3, "int64")],
    "BucketSpan": _SPAN,
    "Histogram": _HISTOGRAM,
    "TimeSeries": [
        ("labels", 1, "*Label"), ("samples", 2, "*Sample"), ("exemplars", 3, "*Exemplar"),
        ("histograms", 4, "*Histogram"),
    ],
    "MetricMetadata": [
        ("type", 1, "int32"), ("metric_family_name", 2, "string"), ("help", 4, "string"),
        ("unit", 5, "string"),
    ],
    "WriteRequest": [("timeseries", 1, "*TimeSeries"), ("metadata", 3, "*MetricMetadata")],
}  # fmt: skip
_VERSION_2 = {
    "Sample": [("value", 1, "double"), ("timestamp", 2, "int64"), ("start_timestamp", 3, "int64")],
    "Exemplar": [("labels_refs", 1, "*uint32"), ("value", 2, "double"), ("timestamp", 3, "int64")],
    "BucketSpan": _SPAN,
    "Histogram": [*_HISTOGRAM, ("start_timestamp", 17, "int64")],
    "Metadata": [("type", 1, "int32"), ("help_ref", 3, "uint32"), ("unit_ref", 4, "uint32")],
    "TimeSeries": [
        ("labels_refs", 1, "*uint32"), ("samples", 2, "*Sample"), ("histograms", 3, "*Histogram"),
        ("exemplars", 4, "*Exemplar"), ("metadata", 5, "Metadata"),
    ],
    "Request": [("symbols", 4, "*string"), ("timeseries", 5, "*TimeSeries")],
}  # fmt: skip


def _messages(package: str, messages: dict[str, Any]) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, *oneof in fields:
            added = message.field.add(name=field_name, number=number)
            added.label = _F.LABEL_REPEATED if kind.startswith("*") else _F.LABEL_OPTIONAL
            of = kind.lstrip("*")
            if of in messages:
                added.type, added.type_name = _F.TYPE_MESSAGE, f".{package}.{of}"
            else:
                added.type = getattr(_F, f"TYPE_{of.upper()}")
            for group in oneof:
                names = [known.name for known in message.oneof_decl]
                if group not in names:
                    message.oneof_decl.add(name=group)
                    names.append(group)
                added.oneof_index = names.index(group)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


WriteRequest = _messages("prometheus", _VERSION_1)["WriteRequest"]
Request = _messages("io.prometheus.write.v2", _VERSION_2)["Request"]


class Symbols:
    """The table of a request of version 2."""

    def __init__(self) -> None:
        self.numbers = {"": 0}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def pairs(self, labels: dict[str, str]) -> list[int]:
        """References of labels."""
        return [self(text) for pair in labels.items() for text in pair]


# --- what it means


@dataclass(frozen=True)
class Point:
    """What is stored of a sample or histogram; two are the same if all of it is."""

    resource: tuple[tuple[str, str], ...]
    metric: tuple[str, str, str, str]
    """Kind, name, description, unit."""
    attributes: tuple[tuple[str, str], ...]
    time_ns: int
    start_ns: int
    value: Any
    flags: int
    exemplars: tuple[Any, ...]


@dataclass
class Meaning:
    """Of a request: its points, and how many elements are not stored."""

    points: Counter[Point] = field(default_factory=Counter)
    refused: int = 0


class _RefusedError(Exception):
    pass


def bits(value: float) -> int:
    """A double's own bits, so that NaN is like itself."""
    return int.from_bytes(struct.pack("<d", value), "little")


def _ns(time_ms: int) -> int:
    time_ns = time_ms * 1_000_000
    return time_ns if 0 <= time_ns < 2**64 else 0


def meaning_of(request: Any, now_ns: int) -> Meaning:
    """What a request of either version means."""
    meaning = Meaning()
    is_first = request.DESCRIPTOR.name == "WriteRequest"
    texts: dict[Any, tuple[str, str]] = {}
    for series in request.timeseries:
        elements = len(series.samples) + len(series.histograms) + len(series.exemplars)
        try:
            points = list(_points(request, series, is_first))
        except _RefusedError:
            meaning.refused += max(1, elements)
            continue
        for point in points:
            # The first series of a metric gives it its description and unit.
            kind, name, description, unit = point.metric
            words = texts.setdefault((point.resource, kind, name), (description, unit))
            meaning.points[Point(**{**vars(point), "metric": (kind, name, *words)})] += 1
    for metadata in request.metadata if is_first else ():
        kind = TYPES[metadata.type if 0 <= metadata.type < len(TYPES) else 0]
        metric = ("gauge", metadata.metric_family_name, metadata.help, metadata.unit)
        meaning.points[
            Point((), metric, (("prometheus.type", kind),), now_ns // 10**6 * 10**6, 0, None, 1 << 31 | 1, ())
        ] += 1
    return meaning


def _labels(request: Any, holder: Any, is_first: bool) -> dict[str, str]:
    if is_first:
        pairs = [(label.name, label.value) for label in holder.labels]
    else:
        references = list(holder.labels_refs)
        if len(references) % 2 or any(reference >= len(request.symbols) for reference in references):
            raise _RefusedError
        texts = [request.symbols[reference] for reference in references]
        pairs = list(zip(texts[::2], texts[1::2], strict=True))
    if any(not name for name, _ in pairs):
        raise _RefusedError
    pairs = [(name, value) for name, value in pairs if value]
    if len({name for name, _ in pairs}) < len(pairs) or len(pairs) > 128:
        raise _RefusedError
    return dict(sorted(pairs, key=lambda pair: pair[0].encode()))


def _exemplar(request: Any, exemplar: Any, is_first: bool) -> Any:
    labels = _labels(request, exemplar, is_first)
    ids = {}
    for name, size in (("trace_id", 32), ("span_id", 16)):
        value = labels.get(name, "")
        if len(value) == size and set(value) <= set("0123456789abcdefABCDEF") and int(value, 16):
            ids[name] = value.lower()
            del labels[name]
    return (
        _ns(exemplar.timestamp), bits(exemplar.value), tuple(labels.items()), ids.get("trace_id", ""),
        ids.get("span_id", ""),
    )  # fmt: skip


def _words(request: Any, metadata: Any, name: str) -> tuple[str, str, str]:
    """Kind, description and unit of a metric, from version 2."""
    if max(metadata.help_ref, metadata.unit_ref) >= len(request.symbols):
        raise _RefusedError
    is_part = any(name.endswith(part) and name != part for part in ("_bucket", "_count", "_sum"))
    is_sum = metadata.type == 1 or (metadata.type in (3, 5) and is_part)
    words = request.symbols[metadata.help_ref], request.symbols[metadata.unit_ref]
    return "sum" if is_sum else "gauge", *words


def _resource(job: str, instance: str) -> tuple[tuple[str, str], ...]:
    namespace = ""
    if job.count("/") == 1 and not job.startswith("/") and not job.endswith("/"):
        namespace, _, job = job.partition("/")
    pairs = (("service.namespace", namespace), ("service.name", job), ("service.instance.id", instance))
    return tuple((name, value) for name, value in pairs if value)


def _points(request: Any, series: Any, is_first: bool) -> Iterator[Point]:
    exemplars = tuple(_exemplar(request, exemplar, is_first) for exemplar in series.exemplars)
    histograms = [_histogram(histogram) for histogram in series.histograms]
    if (series.samples and series.histograms) or len({kind for kind, _ in histograms}) > 1:
        raise _RefusedError
    labels = _labels(request, series, is_first)
    name = labels.pop("__name__", "")
    if not name:
        raise _RefusedError
    kind, description, unit = ("gauge", "", "") if is_first else _words(request, series.metadata, name)
    resource = _resource(labels.pop("job", ""), labels.pop("instance", ""))
    attributes = tuple(labels.items())

    def point(kind: str, time_ms: int, start_ms: int, value: Any, flags: int, carried: Any) -> Point:
        start_ns = _ns(start_ms) if start_ms else 0
        metric = (kind, name, description, unit)
        return Point(resource, metric, attributes, _ns(time_ms), start_ns, value, flags, carried)

    elements = [*series.samples, *series.histograms]
    if not (elements or exemplars):
        raise _RefusedError
    if not elements:
        latest = max([0, *(exemplar.timestamp for exemplar in series.exemplars)])
        yield point(kind, latest, 0, None, 1 << 31 | 1, exemplars)
    for number, element in enumerate(elements, 1):
        carried = exemplars if number == len(elements) else ()
        start = getattr(element, "start_timestamp", 0)
        if series.samples:
            value: Any = bits(element.value)
            flags = int(value == STALE_BITS)
        else:
            kind, value = histograms[number - 1]
            flags = int(bits(element.sum) == STALE_BITS)
        yield point(kind, element.timestamp, start, value, flags, carried)


def _side(spans: Any, deltas: Any, counts: Any) -> tuple[int, list[int]]:
    if deltas and counts:
        raise _RefusedError
    values, last = [], 0
    for delta in deltas:
        last += delta
        values.append(last)
    for count in counts:
        if count < 0 or count != int(count):
            raise _RefusedError
        values.append(int(count))
    if any(value < 0 for value in values) or sum(span.length for span in spans) != len(values):
        raise _RefusedError
    dense: list[int] = []
    for number, span in enumerate(spans):
        if (number and span.offset < 0) or span.offset == -(2**31):
            raise _RefusedError
        if len(dense) + (span.offset if number else 0) + span.length > 16384:
            raise _RefusedError
        dense += [0] * (span.offset if number else 0) + [values.pop(0) for _ in range(span.length)]
    offset = spans[0].offset if spans else 0
    if offset - 1 + len(dense) > 2**31:  # the last index of OTLP's, and one
        raise _RefusedError
    return offset, dense


def _histogram(histogram: Any) -> tuple[str, Any]:
    numbers = [
        getattr(histogram, histogram.WhichOneof(which) or f"{which}_int") for which in ("count", "zero_count")
    ]
    if any(number != int(number) or not 0 <= number < 2**63 for number in numbers):
        raise _RefusedError
    count, zeros = map(int, numbers)
    positive = _side(histogram.positive_spans, histogram.positive_deltas, histogram.positive_counts)
    negative = _side(histogram.negative_spans, histogram.negative_deltas, histogram.negative_counts)
    suffix = " of a moment" if histogram.reset_hint == 3 else ""
    if histogram.schema == -53:
        bounds = list(histogram.custom_values)
        offset, dense = positive
        if negative[1] or offset < 0 or offset + len(dense) > len(bounds) + 1:
            raise _RefusedError
        if not all(low < high for low, high in pairwise([*bounds, math.inf])):
            raise _RefusedError
        buckets = [0] * offset + dense + [0] * (len(bounds) + 1 - offset - len(dense))
        return f"histogram{suffix}", (count, bits(histogram.sum), tuple(bounds), tuple(buckets))
    if not -10 <= histogram.schema <= 20:
        raise _RefusedError
    sides = tuple((offset - 1, tuple(dense)) if dense else (0, ()) for offset, dense in (positive, negative))
    return f"exponential{suffix}", (
        count, bits(histogram.sum), histogram.schema, bits(histogram.zero_threshold), zeros, *sides,
    )  # fmt: skip


# --- what OTLP says


def points_of(request: Any) -> Counter[Point]:
    """The points of an OTLP metrics request."""
    found: Counter[Point] = Counter()
    for entry in request.resource_metrics:
        resource = _pairs(entry.resource.attributes)
        for scope in entry.scope_metrics:
            for metric in scope.metrics:
                found.update(_points_of_metric(resource, metric))
    return found


def _pairs(attributes: Any) -> tuple[tuple[str, str], ...]:
    return tuple((attribute.key, attribute.value.string_value) for attribute in attributes)


def _points_of_metric(resource: Any, metric: Any) -> Iterator[Point]:
    which = metric.WhichOneof("data")
    data = getattr(metric, which)
    kind = {"exponential_histogram": "exponential"}.get(which, which)
    if which != "gauge":
        assert data.aggregation_temporality in (0, 2)
        assert data.aggregation_temporality == 2 or which != "sum"
        kind += "" if data.aggregation_temporality else " of a moment"
    if which == "sum":
        assert data.is_monotonic
    for point in data.data_points:
        if which in ("gauge", "sum"):
            value: Any = bits(point.as_double) if point.HasField("as_double") else None
        elif which == "histogram":
            value = (point.count, bits(point.sum), tuple(point.explicit_bounds), tuple(point.bucket_counts))
        else:
            sides = tuple(
                (side.offset, tuple(side.bucket_counts)) for side in (point.positive, point.negative)
            )
            threshold = bits(point.zero_threshold)
            value = (point.count, bits(point.sum), point.scale, threshold, point.zero_count, *sides)
        exemplars = tuple(
            (
                one.time_unix_nano, bits(one.as_double), _pairs(one.filtered_attributes), one.trace_id.hex(),
                one.span_id.hex(),
            )
            for one in reversed(point.exemplars)
        )  # fmt: skip
        yield Point(
            resource, (kind, metric.name, metric.description, metric.unit), _pairs(point.attributes),
            point.time_unix_nano, point.start_time_unix_nano, value, point.flags, exemplars,
        )  # fmt: skip
