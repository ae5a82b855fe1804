"""Makes the OTLP requests that benchmarks send: believable in shape and size, different from each other.

Everything is drawn from a seed, but for the times, which are now: the collector refuses old ones.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.signals import Signal

ROUTES = [
    f"/v1/{noun}/{{id}}"
    for noun in ("designs", "pages", "fonts", "teams", "exports", "quotes", "taxes", "mails")
]

_BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


WRITE_TIME_MS = time.time_ns() // 10**6
"""Of all samples of remote write, before they are given others."""


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of request to send again and again."""

    name: str
    signal: Signal
    items: int
    """Spans, points or log records in a request."""
    make: Callable[[random.Random, int], bytes]
    """One request, from a source of chance and the number of items."""
    about: str
    most_per_s: int
    """Items that are not sent faster on any machine this is measured on: so many are made."""
    message: str = ""
    """Of remote write; empty for OTLP."""


def bodies(load: Load, count: int, seed: int = 1) -> list[bytes]:
    """So many different requests of a load."""
    draw = random.Random(seed)
    return [load.make(draw, load.items) for _ in range(count)]


def spans_700(draw: random.Random, items: int) -> bytes:
    """10 resource attributes, 15 on a span, an event on every fourth."""
    return _traces(draw, items, _resource(draw, 10), attributes=15, event_every=4)


def spans_400(draw: random.Random, items: int) -> bytes:
    """10 resource attributes, 10 short ones on a span."""
    return _traces(draw, items, _resource(draw, 10), attributes=10, event_every=0)


def points(draw: random.Random, items: int) -> bytes:
    """Gauges and sums of one container: ten points a metric, 4 attributes a point."""
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add(resource=_resource(draw, 10))
    scope = entry.scope_metrics.add()
    scope.scope.name = "bench"
    now = time.time_ns()
    for number in range(items // 10):
        metric = scope.metrics.add(name=f"app.metric.{number}", unit="1")
        if number % 2:
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = 2
        kept = metric.sum.data_points if number % 2 else metric.gauge.data_points
        for route in range(10):
            point = kept.add(time_unix_nano=now + route, as_double=draw.random())
            point.attributes.extend([
                _pair("http.route", ROUTES[route % len(ROUTES)]), _pair("http.request.method", "GET"),
                _pair("http.response.status_code", 200), _pair("worker", str(route)),
            ])  # fmt: skip
    return request.SerializeToString()


def samples_1(draw: random.Random, items: int) -> bytes:
    """One sample of each series of some targets, ten labels a series: remote write 1.0."""
    return b"".join(
        _field(1, b"".join(_field(1, _label(*label)) for label in labels) + _sample(draw))
        for labels in _series(draw, items)
    )


def samples_2(draw: random.Random, items: int) -> bytes:
    """The same as 2.0 writes it, as counters."""
    symbols = {"": 0}
    series = []
    for labels in _series(draw, items):
        numbers = [symbols.setdefault(text, len(symbols)) for label in labels for text in label]
        references = b"".join(map(_varint, numbers))
        series.append(_field(5, _field(1, references) + _sample(draw) + _field(5, b"\x08\x01")))
    return b"".join([*(_field(4, symbol.encode()) for symbol in symbols), *series])


def logs(draw: random.Random, items: int) -> bytes:
    """Lines of some 120 letters with 6 attributes and the id of a trace."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add(resource=_resource(draw, 10))
    scope = entry.scope_logs.add()
    now = time.time_ns()
    for number in range(items):
        record = scope.log_records.add(
            time_unix_nano=now + number, severity_number=9, severity_text="INFO", trace_id=draw.randbytes(16)
        )
        record.body.string_value = (
            f"request to {draw.choice(ROUTES)} by user {draw.getrandbits(32)} took {draw.random() * 90:.2f}"
            f" ms and wrote {draw.getrandbits(20)} bytes to the answer"
        )
        record.attributes.extend(_pair(f"log.attribute.{n}", f"value-{draw.randrange(50)}") for n in range(6))
    return request.SerializeToString()


LOADS = (
    Load(
        "spans_400",
        Signal.TRACES,
        512,
        spans_400,
        "spans of 400 B: 10 resource and 10 span attributes",
        1_000_000,
    ),
    Load(
        "spans_700",
        Signal.TRACES,
        512,
        spans_700,
        "spans of 700 B: 10 resource and 15 span attributes, an event in 4",
        600_000,
    ),
    Load(
        "points",
        Signal.METRICS,
        1000,
        points,
        "metric points with 10 resource and 4 point attributes",
        2_500_000,
    ),
    Load("logs", Signal.LOGS, 512, logs, "log records of 120 letters with 6 attributes", 1_000_000),
    Load("spans_20", Signal.TRACES, 20, spans_400, "requests of 20 spans of 400 B", 100_000),
)


WRITES = tuple(
    Load(
        f"samples_{version}",
        Signal.METRICS,
        2000,
        make,
        f"samples by remote write {version}.0, ten labels a series",
        1_500_000,
        message,
    )
    for version, make, message in (
        (1, samples_1, "prometheus.WriteRequest"),
        (2, samples_2, "io.prometheus.write.v2.Request"),
    )
)
"""What is sent to where remote write is received."""


def spans_load() -> Load:
    """The larger spans."""
    return next(load for load in LOADS if load.make is spans_700)


def _traces(
    draw: random.Random, items: int, resource: Resource, *, attributes: int, event_every: int
) -> bytes:
    request = ExportTraceServiceRequest()
    entry = request.resource_spans.add(resource=resource)
    scope = entry.scope_spans.add()
    scope.scope.name, scope.scope.version = "io.opentelemetry.http", "2.1.0"
    now = time.time_ns()
    trace_id = b""
    for number in range(items):
        if number % 8 == 0:
            trace_id = draw.randbytes(16)
        route = draw.choice(ROUTES)
        # What an SDK sends at once has ended in the last seconds.
        start = now - draw.randrange(5_000_000_000)
        span = scope.spans.add(
            trace_id=trace_id,
            span_id=draw.randbytes(8),
            parent_span_id=draw.randbytes(8),
            name=f"GET {route}",
            kind=Span.SPAN_KIND_SERVER if number % 3 == 0 else Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=start,
            end_time_unix_nano=start + draw.randrange(1_000_000, 90_000_000),
        )
        span.attributes.extend(_span_attributes(draw, route)[:attributes])
        if event_every and number % event_every == 0:
            event = span.events.add(time_unix_nano=start + 1000, name="cache.miss")
            event.attributes.append(_pair("cache.key", f"design:{draw.getrandbits(24)}"))
    return request.SerializeToString()


def _resource(draw: random.Random, count: int) -> Resource:
    service = f"service-{draw.randrange(40)}"
    pod = f"{service}-{draw.getrandbits(24):x}"
    known = [
        ("service.name", service), ("service.namespace", "shop"), ("service.version", "1.4.2"),
        ("k8s.cluster.name", "fra-1"), ("k8s.namespace.name", "shop"), ("k8s.deployment.name", service),
        ("k8s.pod.name", pod), ("k8s.container.name", "app"), ("k8s.node.name", f"node-{draw.randrange(9)}"),
        ("telemetry.sdk.language", "java"),
    ]  # fmt: skip
    return Resource(attributes=[_pair(name, value) for name, value in known[:count]])


def _span_attributes(draw: random.Random, route: str) -> list[KeyValue]:
    return [
        _pair("http.request.method", "GET"), _pair("http.route", route),
        _pair("http.response.status_code", draw.choice((200, 200, 200, 404))),
        _pair("url.path", route.replace("{id}", str(draw.getrandbits(24)))), _pair("url.scheme", "https"),
        _pair("server.address", f"service-{draw.randrange(40)}"), _pair("server.port", 8080),
        _pair("network.protocol.version", "1.1"),
        _pair("client.address", f"10.2.{draw.randrange(256)}.{draw.randrange(256)}"),
        _pair("thread.id", draw.randrange(64)), _pair("thread.name", f"exec-{draw.randrange(64)}"),
        _pair("enduser.id", f"user-{draw.getrandbits(28)}"),
        _pair("app.tenant", f"customer-{draw.randrange(900)}"),
        _pair("app.feature.flags", "new-editor,fast-export,shared-fonts"),
        _pair("user_agent.original", _BROWSER),
    ]  # fmt: skip


def _series(draw: random.Random, items: int) -> list[list[tuple[str, str]]]:
    """The labels of so many series, two hundred from each target, as a shard of Prometheus mixes them."""
    targets = [f"10.2.{draw.randrange(256)}.{draw.randrange(256)}:8080" for _ in range(max(1, items // 200))]
    found = []
    for number in range(items):
        target = number % len(targets)
        labels = {
            "__name__": f"app_metric_{number // len(targets) % 40}_total", "cluster": "fra-1",
            "code": draw.choice(("200", "404", "500")), "handler": draw.choice(ROUTES),
            "instance": targets[target], "job": f"shop/service-{target % 40}", "method": "GET",
            "namespace": "shop", "pod": f"service-{target % 40}-{target:x}", "worker": str(number),
        }  # fmt: skip
        found.append(list(labels.items()))
    draw.shuffle(found)
    return found


def _sample(draw: random.Random) -> bytes:
    value = struct.pack("<d", draw.random() * 1e6)
    return _field(2, b"\x09" + value + b"\x10" + _varint(WRITE_TIME_MS))


def _label(name: str, value: str) -> bytes:
    return _field(1, name.encode()) + _field(2, value.encode())


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _pair(key: str, value: str | int) -> KeyValue:
    return KeyValue(
        key=key, value=AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value)
    )
