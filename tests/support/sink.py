"""A small OTLP receiver that keeps what it gets, over HTTP (protobuf and JSON) and gRPC. For tests only.

It decodes with the reference protobuf classes and shares nothing with Lowtide's own receivers, so that it can
bear witness for or against them.
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}
ID_FIELDS = {"traceId", "spanId", "parentSpanId"}


@dataclass
class Sink:
    """`received` by signal, the `headers` of HTTP requests, the `errors` of those that could not be read.

    With `refuse` everything is answered as bad data, which a sender must not try again.
    """

    received: dict[str, list[Any]] = field(default_factory=lambda: {signal: [] for signal in REQUESTS})
    headers: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refuse: bool = False
    http_url: str = ""
    grpc_url: str = ""

    def endpoint(self, protocol: str) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT must say for this protocol."""
        return self.grpc_url if protocol == "grpc" else self.http_url

    def start(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.http_url = f"http://127.0.0.1:{self._http.server_port}"
        self._grpc = grpc.server(futures.ThreadPoolExecutor(2))
        self._grpc.add_generic_rpc_handlers(tuple(_grpc_handler(self, name) for name in SERVICES))
        self.grpc_url = f"http://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._grpc.stop(None).wait()


def _grpc_handler(sink: Sink, service: str) -> grpc.GenericRpcHandler:
    signal = SERVICES[service]

    def export(request: Any, context: grpc.ServicerContext) -> bytes:
        if sink.refuse:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused by the test")
        sink.received[signal].append(request)
        return b""  # an empty response message: everything was taken

    handler = grpc.unary_unary_rpc_method_handler(export, request_deserializer=REQUESTS[signal].FromString)
    return grpc.method_handlers_generic_handler(service, {"Export": handler})


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sink.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, answer = self._taken(self._body())
            self.send_response(status)
            self.send_header("Content-Type", self.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _taken(self, body: bytes) -> tuple[int, bytes]:
            """Keeps the request; the answer's status and body: the empty message in the same encoding."""
            media_type = self.headers["Content-Type"].split(";")[0]
            answer = b"{}" if media_type == "application/json" else b""
            if sink.refuse:
                return 400, answer
            try:
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                signal = self.path.removeprefix("/v1/")
                sink.received[signal].append(_decoded(signal, media_type, body))
            except (KeyError, OSError, ValueError, json_format.ParseError, DecodeError) as error:
                sink.errors.append(f"{self.path}: {error}")
                return 400, answer
            return 200, answer

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Quiet: pytest shows what matters."""

    return Handler


def _decoded(signal: str, media_type: str, body: bytes) -> Any:
    if media_type == "application/x-protobuf":
        return REQUESTS[signal].FromString(body)
    if media_type == "application/json":
        # OTLP's JSON tells receivers to ignore what they do not know; the Node SDK writes such a field.
        message = REQUESTS[signal]()
        return json_format.ParseDict(_ids_as_base64(json.loads(body)), message, ignore_unknown_fields=True)
    raise ValueError(f"unexpected media type {media_type}")


def _ids_as_base64(value: Any) -> Any:
    """OTLP's JSON writes ids in hex where protobuf's own JSON mapping expects base64."""
    if isinstance(value, list):
        return [_ids_as_base64(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode() if key in ID_FIELDS else _ids_as_base64(item)
        for key, item in value.items()
    }
