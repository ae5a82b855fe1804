"""What a Prometheus 3 wrote by remote write 2.0 becomes what it answers itself: values, times, histograms,
exemplars. Where the record comes from is said in it."""

from __future__ import annotations

import base64
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.codecs import Encoding, inflate
from collector.door import Form
from collector.remote_write.translate import Translated, translate
from support.remote_write import STALE_BITS, Point, bits, points_of

RECORD = json.loads((Path(__file__).parent / "data" / "prometheus_3.json").read_text("utf-8"))
LIMIT_BYTES = 1 << 24
Labels = tuple[tuple[str, str], ...]


def translated(body: str) -> Translated:
    data = inflate(
        Encoding.SNAPPY_BLOCK, base64.b64decode(body), limit_bytes=LIMIT_BYTES, grow=lambda size: None
    )
    return translate(Form.WRITE_2, data, now_ns=0, limit_bytes=LIMIT_BYTES, grow=lambda size: None)


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """Of all requests."""
    found: list[Point] = []
    for request in RECORD["requests"]:
        otlp = ExportMetricsServiceRequest.FromString(translated(request["body"]).body)
        found += points_of(otlp).elements()
    return found


def labels_of(point: Point) -> Labels:
    """As Prometheus has them itself: without the label that it adds to what it sends."""
    resource = dict(point.resource)
    jobs = [resource.get("service.namespace"), resource.get("service.name")]
    named = {
        "__name__": point.metric[1],
        "job": "/".join(filter(None, jobs)),
        "instance": resource.get("service.instance.id", ""),
    }
    labels = {**dict(point.attributes), **named}
    assert labels.pop("site") == "one"
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def shown(points: list[Point], kinds: set[str]) -> dict[Labels, dict[int, Any]]:
    """Values by series and time in milliseconds, up to when Prometheus was asked."""
    found: dict[Labels, dict[int, Any]] = defaultdict(dict)
    for point in points:
        if point.metric[0] in kinds and point.flags == 0 and point.time_ns <= RECORD["at"] * 1e9:
            of_series = found[labels_of(point)]
            assert point.time_ns not in of_series
            of_series[point.time_ns // 10**6] = point.value
    return found


def theirs(what: str) -> dict[Labels, dict[int, Any]]:
    """The same, as Prometheus answered."""
    return {
        tuple(sorted(series["metric"].items())): {round(at * 1000): value for at, value in series[what]}
        for series in RECORD["series"]
        if what in series
    }


def test_samples(points: list[Point]) -> None:
    mine, expected = shown(points, {"gauge", "sum"}), theirs("values")

    assert {dict(labels)["__name__"] for labels in expected} >= {
        "up", "requests_total", "temperature_celsius", "odd", "seconds_bucket", "seconds_sum",
        "go_gc_duration_seconds",
    }  # fmt: skip
    assert mine == {
        labels: {at: bits(float(value)) if value != "NaN" else mine[labels][at] for at, value in of.items()}
        for labels, of in expected.items()
    }
    is_nan = [labels for labels, of in expected.items() if "NaN" in of.values()]
    assert is_nan
    for labels in is_nan:
        assert all(value >> 52 == 0x7FF and value != STALE_BITS for value in mine[labels].values())


def buckets_of(kind: str, value: Any) -> Iterator[tuple[float, float, int]]:
    """Left and right bound and count of all that are not empty, as Prometheus' API shows a histogram."""
    if kind == "histogram":
        bounds = [-math.inf, *value[2], math.inf]
        yield from ((a, b, n) for a, b, n in zip(bounds, bounds[1:], value[3], strict=False) if n)
        return
    _, _, scale, _, zeros, (offset, counts), (_, negative) = value
    assert not negative
    assert not zeros
    base = 2.0 ** (2.0**-scale)
    yield from ((base ** (offset + i), base ** (offset + i + 1), n) for i, n in enumerate(counts) if n)


def test_native_histograms(points: list[Point]) -> None:
    expected = theirs("histograms")
    kinds = {"seconds": "histogram", "prometheus_http_request_duration_seconds": "exponential"}
    assert {dict(labels)["__name__"] for labels in expected} == set(kinds)
    for name, kind in kinds.items():
        mine = {
            labels: of
            for labels, of in shown(points, {kind}).items()
            if dict(labels)["__name__"] == name and "job" in dict(labels)
        }
        wanted = {labels: of for labels, of in expected.items() if dict(labels)["__name__"] == name}
        assert {labels: of.keys() for labels, of in mine.items()} == {
            labels: of.keys() for labels, of in wanted.items()
        }
        for labels, of in wanted.items():
            for at, histogram in of.items():
                value = mine[labels][at]
                assert (value[0], value[1]) == (int(histogram["count"]), bits(float(histogram["sum"])))
                found = list(buckets_of(kind, value))
                there = [tuple(map(float, bucket[1:])) for bucket in histogram["buckets"]]
                assert [bucket[2] for bucket in found] == [bucket[2] for bucket in there]
                for one, other in zip(found, there, strict=True):
                    assert one[:2] == pytest.approx(other[:2], rel=1e-12)


def test_a_histogram_of_fractions_is_refused_by_name() -> None:
    """What a rule made of histograms by dividing them; the rest of its request is taken."""
    found = [(request["status"], translated(request["body"])) for request in RECORD["requests"]]

    refused = [result for status, result in found if status == 400]
    assert refused
    assert all(result.refused and "'fraction'" in result.reason and result.body for result in refused)
    assert not any(result.refused for status, result in found if status != 400)


def test_series_end_with_a_marker(points: list[Point]) -> None:
    """The target answered with an error after Prometheus was asked."""
    ended = {labels_of(point) for point in points if point.flags == 1 and point.value == STALE_BITS}

    assert {dict(labels)["__name__"] for labels in ended} >= {"requests_total", "temperature_celsius", "odd"}


def test_exemplars_and_words(points: list[Point]) -> None:
    wanted = RECORD["exemplars"][0]["exemplars"][0]
    trace_id = wanted["labels"].pop("trace_id")

    [exemplar] = {one for point in points for one in point.exemplars if point.metric[1] == "requests_total"}
    assert exemplar == (
        round(wanted["timestamp"] * 1000) * 10**6, bits(float(wanted["value"])),
        tuple(wanted["labels"].items()), trace_id, "",
    )  # fmt: skip
    words = {point.metric for point in points if point.metric[1] in ("requests_total", "temperature_celsius")}
    assert ("sum", "requests_total", "Requests of a shop.", "") in words
    assert ("gauge", "temperature_celsius", "How warm it is.", "celsius") in words
