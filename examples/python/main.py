"""A small shop on the OpenTelemetry SDK for Python, sending traces, metrics and logs to Lowtide.

Where to send comes from the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL,
OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES). To connect a service of your
own, take `connect()`: it is all the set-up there is. `recorder.py` serves only the test of this example;
without it, call the exporter classes directly instead of through `recorder.recording(...)`.

Run: python main.py [RUN_ID]. Everything sent is printed on stdout as one JSON document. The exit status is
1 if an export failed, 2 if the settings make no sense.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

from opentelemetry import context, metrics, propagate, trace
from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, Tracer
from recorder import Recorder

SCOPE, VERSION, SCHEMA = "shop", "1.4.0", "https://opentelemetry.io/schemas/1.37.0"

# One attribute of each kind that the SDK takes, with the values that are easily lost on the way.
EVERY_KIND = {
    "example.string": "one tea, no sugar",
    "example.string.empty": "",
    "example.string.unicode": "Grüße, 世界 🌊",
    "example.string.quoted": 'a "quoted" back\\slash\nand a new line',
    "example.bool.true": True,
    "example.bool.false": False,
    "example.int": 42,
    "example.int.zero": 0,
    "example.int.max": 2**63 - 1,
    "example.int.min": -(2**63),
    "example.double": 1.5,
    "example.double.whole": 3.0,
    "example.double.third": 1 / 3,
    "example.double.big": 1e21,
    "example.double.small": 1e-7,
    "example.double.nan": float("nan"),
    "example.double.infinity": float("-inf"),
    "example.strings": ["a/b", "", 'ü "x"'],
    "example.bools": [True, False],
    "example.ints": [1, -2, 2**63 - 1],
    "example.doubles": [1.5, 2.0, 1e21],
    "example.array.empty": [],
    "example.array.mixed": ["a", 1, 2.5, True, None],
    "example.map": {"k": 1, "nested": {"list": [1, "two"]}, "empty": {}},
    "example.bytes": bytes([0, 1, 254, 255]),
    "example.null": None,
}


def exporters() -> tuple[ModuleType, ModuleType, ModuleType]:
    """The exporter modules of traces, metrics and logs for the protocol that the environment names."""
    match os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"):
        case "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import _log_exporter, metric_exporter, trace_exporter
        case "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http import _log_exporter, metric_exporter, trace_exporter
        case other:
            print(f"OTEL_EXPORTER_OTLP_PROTOCOL is {other!r}; use grpc or http/protobuf.", file=sys.stderr)
            sys.exit(2)
    return trace_exporter, metric_exporter, _log_exporter


@dataclass(frozen=True)
class Telemetry:
    tracer: Tracer
    meter: Meter
    logger: Logger
    shutdown: Callable[[], None]


def connect(recorder: Recorder, run_id: str) -> Telemetry:
    """Sets up the three signals. Endpoint, headers, compression and time limit are read by the exporters."""
    trace_exporter, metric_exporter, log_exporter = exporters()
    # Resource.create reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    resource = Resource.create({"example.run.id": run_id, "example.ints": [1, 2]}, schema_url=SCHEMA)

    traces = TracerProvider(resource=resource)
    traces.add_span_processor(
        BatchSpanProcessor(recorder.recording(trace_exporter.OTLPSpanExporter, recorder.spans))
    )
    measures = MeterProvider(
        resource=resource,
        metric_readers=[
            PeriodicExportingMetricReader(
                recorder.recording(metric_exporter.OTLPMetricExporter, recorder.points)
            )
        ],
        views=[
            View(
                instrument_name="shop.payload.size",
                aggregation=ExponentialBucketHistogramAggregation(max_size=20),
            ),
            # Whose request it was would make a series for each person: it stays on exemplars only.
            View(instrument_name="shop.request.duration", attribute_keys={"http.route"}),
        ],
    )
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(recorder.recording(log_exporter.OTLPLogExporter, recorder.logs))
    )
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(measures)

    def shutdown() -> None:
        # Each sends what it still holds. A service that ends without this loses its last seconds.
        traces.shutdown()
        measures.shutdown()
        logs.shutdown()

    return Telemetry(
        tracer=traces.get_tracer(SCOPE, VERSION, SCHEMA, {"example.scope": "traces"}),
        meter=measures.get_meter(SCOPE, VERSION, SCHEMA, {"example.scope": "metrics"}),
        logger=logs.get_logger(SCOPE, VERSION, SCHEMA, {"example.scope": "logs"}),
        shutdown=shutdown,
    )


def answer_checkout(tracer: Tracer, logger: Logger) -> Link:
    """A request from elsewhere, priced here with the help of another service, then handed to a queue."""
    headers = {
        "traceparent": f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01",
        "tracestate": "gateway=edge-1,other=x:y",
    }
    with tracer.start_as_current_span(
        "POST /checkout",
        context=propagate.extract(headers),
        kind=SpanKind.SERVER,
        attributes={"http.request.method": "POST", "http.route": "/checkout"},
    ) as server:
        with tracer.start_as_current_span("price cart", attributes=EVERY_KIND) as internal:
            internal.add_event("discount applied", {"discount.code": "SPRING", "discount.percent": 7.5})
            internal.add_event("cart priced", EVERY_KIND)
            with tracer.start_as_current_span(
                "GET /tax",
                kind=SpanKind.CLIENT,
                attributes={"server.address": "tax-rate", "server.port": 8080},
            ):
                time.sleep(0.002)
        write_logs(logger)
        server.set_attribute("http.response.status_code", 200)
        server.set_status(Status(StatusCode.OK))
    with tracer.start_as_current_span(
        "send orders",
        context=context.Context(),
        kind=SpanKind.PRODUCER,
        attributes={"messaging.system": "kafka"},
    ) as producer:
        return Link(producer.get_span_context(), {"messaging.message.id": "order-1", "example.ints": [1, 2]})


def take_order(tracer: Tracer, order: Link) -> None:
    """A consumer in a trace of its own that points back at what it works on, and fails."""
    plain = Link(order.context)
    # What is raised inside is on the span: an event `exception` and the status Error.
    with (
        contextlib.suppress(ValueError),
        tracer.start_as_current_span(
            "process orders", context=context.Context(), kind=SpanKind.CONSUMER, links=[order, plain]
        ),
    ):
        raise ValueError("no stock for order-1 (Größe XL)")


def write_logs(logger: Logger) -> None:
    """Plain and structured lines. Inside a span they carry its ids."""
    now = time.time_ns()
    order = {"order": 7, "lines": [{"sku": "T-1", "price": 2.5}, {"sku": "é/2"}], "empty": {}}
    bodies = [
        ("cart priced", SeverityNumber.INFO, "INFO"),
        ("", SeverityNumber.DEBUG, "DEBUG"),
        (order, SeverityNumber.WARN, "WARN"),
        (["a", 1, 2.5, False, None], SeverityNumber.ERROR, "ERROR"),
        (b"\x00\xffraw", SeverityNumber.FATAL, "FATAL"),
        (2**53 + 1, SeverityNumber.TRACE, "TRACE"),
        (0.25, SeverityNumber.INFO2, "NOTICE"),
        (True, None, None),
    ]
    for number, (body, severity, text) in enumerate(bodies):
        logger.emit(
            LogRecord(
                timestamp=now + number,
                severity_number=severity,
                severity_text=text,
                body=body,
                attributes={"example.line": number},
            )
        )
    # An event without a time of its own: the store then takes the time at which it was observed.
    logger.emit(LogRecord(event_name="shop.cart.priced", attributes=EVERY_KIND))


def measure(meter: Meter, tracer: Tracer) -> None:
    """Every instrument, whole numbers and fractions."""
    requests = meter.create_counter("shop.requests", unit="{request}", description="Requests answered")
    requests.add(3, {"http.route": "/checkout", "example.bool": True})
    requests.add(1, {"http.route": "", "example.int": 7, "example.strings": ["a/b", "c"]})
    meter.create_counter("shop.revenue", unit="EUR").add(12.75, {"currency": "EUR"})
    carts = meter.create_up_down_counter("shop.carts.open", unit="{cart}")
    carts.add(5)
    carts.add(-7)
    meter.create_gauge("shop.price.factor").set(1.25, {"season": "spring"})

    duration = meter.create_histogram(
        "shop.request.duration", unit="s", explicit_bucket_boundaries_advisory=[0.01, 0.1, 0.5, 1.0]
    )
    payload = meter.create_histogram("shop.payload.size", unit="By")
    # Measured inside a span, a point gets an exemplar that names it.
    with tracer.start_as_current_span("measure"):
        for seconds in (0.005, 0.05, 0.05, 0.7, 4.0):
            duration.record(seconds, {"http.route": "/checkout", "enduser.id": "u-17"})
        for size in (0, 1, 3, 250, 1_000_000):
            payload.record(size, {"http.route": "/checkout"})

    def hits(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(40, {"cache": "price"}), Observation(2, {"cache": "tax"})]

    def depth(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(-3, {"queue": "orders"})]

    def temperature(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(21.5, {"room": "Küche"}), Observation(-4.0, {"room": "cellar"})]

    meter.create_observable_counter("shop.cache.hits", [hits], unit="{hit}")
    meter.create_observable_up_down_counter("shop.queue.depth", [depth], unit="{message}")
    meter.create_observable_gauge("shop.room.temperature", [temperature], unit="Cel")


def main() -> int:
    run_id = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("EXAMPLE_RUN_ID", uuid.uuid4().hex)
    recorder = Recorder(run_id)
    telemetry = connect(recorder, run_id)
    take_order(telemetry.tracer, answer_checkout(telemetry.tracer, telemetry.logger))
    telemetry.logger.emit(LogRecord(body="outside any span", timestamp=time.time_ns()))
    measure(telemetry.meter, telemetry.tracer)
    telemetry.shutdown()
    print(recorder.document())
    for failure in recorder.failures:
        print(failure, file=sys.stderr)
    return 1 if recorder.failures else 0


if __name__ == "__main__":
    sys.exit(main())
