"""What a span looks like: name, kind, attributes, status and events of every node, as templates with places.

Used by the span writer. Names follow the OTel semantic conventions for HTTP, RPC, messaging, database and
FaaS; a sidecar's spans look as Envoy writes them under Istio. The trap: each variant (failed, cold,
sampled) is a template of its own, because a place cannot change its width.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lowtide.demo.calls import Node, Role
from lowtide.demo.estate import Endpoint, Estate, service_name
from lowtide.demo.wire import Plain, Template, attributes, number_of, octets_of, text_of

SPAN_FIELD = 2
KINDS = {
    Role.SERVER: Span.SPAN_KIND_SERVER,
    Role.PROXY: Span.SPAN_KIND_SERVER,
    Role.CLIENT: Span.SPAN_KIND_CLIENT,
    Role.PRODUCER: Span.SPAN_KIND_PRODUCER,
    Role.CONSUMER: Span.SPAN_KIND_CONSUMER,
    Role.INTERNAL: Span.SPAN_KIND_INTERNAL,
    Role.INIT: Span.SPAN_KIND_INTERNAL,
}
PORT = 8080
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Papercrane/8"
PROBE = "kube-probe/1.31"
DIGITS = 8
ADDRESS_WIDTH = len("10.121.100.100")
ZONE_WIDTH = len("eu-central-1a")
EXCEPTIONS = {
    "java": ("java.util.concurrent.TimeoutException", "no answer within the deadline"),
    "go": ("*errors.errorString", "upstream closed the connection"),
    "nodejs": ("Error", "socket hang up"),
    "python": ("ConnectionResetError", "connection reset by peer"),
    "": ("error", "failed"),
}
FRAMES = {
    "java": "java.util.concurrent.TimeoutException: no answer within the deadline\n"
    "\tat com.papercrane.{0}.Caller.call(Caller.java:88)\n"
    "\tat com.papercrane.{0}.Handler.handle(Handler.java:41)",
    "go": "goroutine 214 [running]:\npapercrane/{0}.(*Handler).Serve(0xc0001a2000)\n\t/src/{0}/handler.go:57",
    "nodejs": "Error: socket hang up\n    at connResetException (node:internal/errors:787:14)\n"
    "    at {0} (/app/handler.js:61:11)",
    "python": 'Traceback (most recent call last):\n  File "/app/{0}/handler.py", line 73, in handle\n'
    "ConnectionResetError: connection reset by peer",
    "": "{0} failed",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """What distinguishes templates of one node."""

    keep_one_in: int = 1
    failed: bool = False
    cold: bool = False
    links: int = 0
    node_id_width: int = 0


def threshold_text(keep_one_in: int) -> str:
    """`th` of W3C tracestate for probability 1/keep_one_in, a power of two: the rejection threshold
    without its trailing zeros (OpenTelemetry probability sampling)."""
    threshold = (1 << 56) - (1 << 56) // keep_one_in
    return f"{threshold:014x}".rstrip("0") or "0"


class SpanShapes:
    """Templates by node and variant, compiled once."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._made: dict[tuple[str, int, Variant], Template] = {}

    def template(self, operation: str, node: Node, variant: Variant) -> Template:
        """The template of a node of an operation. Places: trace, span, parent, start, end and what
        `places` adds."""
        key = (operation, node.index, variant)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._compiled(node, variant)
        return found

    def _compiled(self, node: Node, variant: Variant) -> Template:
        values = self._attributes(node, variant)
        span = Span(
            trace_id=octets_of("trace", 16),
            span_id=octets_of("span", 8),
            trace_state=f"ot=th:{threshold_text(variant.keep_one_in)}",
            name=self._name(node),
            kind=KINDS[node.role],
            start_time_unix_nano=number_of("start"),
            end_time_unix_nano=number_of("end"),
            flags=_flags(node),
        )
        places = {
            name: octets_of(name, 16 if name == "trace" else 8) for name in ("trace", "span", "start", "end")
        }
        if node.parent >= 0:
            span.parent_span_id = octets_of("parent", 8)
            places["parent"] = octets_of("parent", 8)
        if variant.failed:
            self._fail(span, node)
            if span.events:
                places["event"] = octets_of("event", 8)
        for number in range(variant.links):
            for part, width in (("trace", 16), ("span", 8)):
                places[f"link {part} {number}"] = octets_of(f"link {part} {number}", width)
            span.links.add(
                trace_id=places[f"link trace {number}"], span_id=places[f"link span {number}"], flags=0x103
            )
        span.attributes.extend(attributes(values))
        everything = "\n".join(str(value) for value in values.values())
        for name, width in text_places(variant).items():
            if text_of(name, width) in everything:
                places[name] = text_of(name, width).encode()
        return Template.compiled(SPAN_FIELD, span, places)

    def _fail(self, span: Span, node: Node) -> None:
        language = self._language(node.service)
        kind, message = EXCEPTIONS[language]
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=message))
        if node.role in (Role.SERVER, Role.CONSUMER, Role.INTERNAL):
            values: dict[str, Plain] = {
                "exception.type": kind,
                "exception.message": message,
                "exception.stacktrace": FRAMES[language].format(service_name(node.service).replace("-", "")),
            }
            span.events.add(
                name="exception", time_unix_nano=number_of("event"), attributes=attributes(values)
            )

    def _language(self, key: str) -> str:
        sdk = self.estate.services[key].sdk
        return self.estate.sdks[sdk].language if sdk else ""

    def _name(self, node: Node) -> str:
        if node.role is Role.PROXY:
            return f"{self._host(node.service)}:{PORT}/*"
        if node.role is Role.INIT:
            return "faas init"
        if node.role in (Role.CLIENT, Role.PRODUCER, Role.INTERNAL) and node.call is not None:
            return self._name_of_call(node)
        endpoint = _endpoint(node)
        if endpoint.consume is not None:
            return f"process {endpoint.consume}"
        return endpoint.http or endpoint.rpc or endpoint.run or node.service

    def _name_of_call(self, node: Node) -> str:
        call = node.call
        assert call is not None  # noqa: S101 - the caller checked
        if call.db is not None:
            return call.db
        if call.publish is not None:
            return f"send {call.publish}"
        if call.inside is not None:
            return call.inside
        if call.to is not None:
            endpoint = self.estate.endpoints[call.to][1]
            return endpoint.rpc or (endpoint.http or "").partition(" ")[0]
        return "POST"

    def _host(self, key: str) -> str:
        service = self.estate.services[key]
        name = service_name(key)
        if service.kind == "vm":
            return f"{name}.vm.papercrane.example"
        if service.kind == "function":
            return f"{name}.lambda-url.papercrane.example"
        return f"{name}.{service.namespace or service.app}.svc.cluster.local"

    def _attributes(self, node: Node, variant: Variant) -> dict[str, Plain]:
        if node.role is Role.PROXY:
            return self._proxy(node, variant)
        if node.role is Role.INIT:
            return {"faas.coldstart": True, "faas.init_phase": "runtime and handler"}
        if node.role is Role.PRODUCER:
            return self._producer(node)
        if node.role is Role.CLIENT:
            return self._client(node, variant)
        if node.role is Role.INTERNAL:
            return {"code.function.name": self._name(node).replace(" ", "_")}
        found = self._server(node, variant)
        service = self.estate.services[node.service]
        if service.kind == "function":
            found |= {
                "faas.trigger": service.trigger,
                "faas.coldstart": variant.cold,
                "faas.invocation_id": text_of("invocation", 16),
            }
        return found

    def _server(self, node: Node, variant: Variant) -> dict[str, Plain]:
        endpoint = _endpoint(node)
        if endpoint.consume is not None:
            found: dict[str, Plain] = {
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": endpoint.consume,
                "messaging.consumer.group.name": service_name(node.service),
                "messaging.message.id": text_of("digits", DIGITS),
            }
            if variant.links > 1:
                found["messaging.batch.message_count"] = variant.links
            return found | _error_type(variant)
        if endpoint.rpc is not None:
            return self._rpc(endpoint.rpc, node.service, variant)
        method, _, route = (endpoint.http or "").partition(" ")
        found = {
            "http.request.method": method,
            "http.route": route,
            "url.path": _filled(route),
            "url.scheme": "http",
            "http.response.status_code": 500 if variant.failed else 200,
            "server.address": self._host(node.service),
            "server.port": PORT,
            "network.protocol.version": "1.1",
        }
        if node.parent < 0:
            found["user_agent.original"] = PROBE if route == "/healthz" else BROWSER
        return found | _error_type(variant)

    def _rpc(self, name: str, target: str, variant: Variant) -> dict[str, Plain]:
        service, _, method = name.partition("/")
        return {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "rpc.grpc.status_code": 14 if variant.failed else 0,
            "server.address": self._host(target),
            "server.port": PORT,
            **_error_type(variant),
        }

    def _client(self, node: Node, variant: Variant) -> dict[str, Plain]:
        call = node.call
        assert call is not None  # noqa: S101 - client spans are made from calls
        if call.db is not None:
            verb, _, table = call.db.partition(" ")
            return {
                "db.system.name": "postgresql",
                "db.namespace": self.estate.services[node.service].app or "misc",
                "db.operation.name": verb,
                "db.collection.name": table,
                "db.query.summary": call.db,
                "server.address": "postgres.data.svc.cluster.local",
                "server.port": 5432,
                **_error_type(variant),
            }
        if call.external is not None:
            return {
                "http.request.method": "POST",
                "url.full": f"https://{call.external}/v1/{text_of('digits', DIGITS)}",
                "http.response.status_code": 503 if variant.failed else 200,
                "server.address": call.external,
                "server.port": 443,
                **_error_type(variant),
            }
        return self._call_to(node, call.to or "", variant)

    def _call_to(self, node: Node, reference: str, variant: Variant) -> dict[str, Plain]:
        endpoint = self.estate.endpoints[reference][1]
        host = self._host(node.target)
        if endpoint.rpc is not None:
            found = self._rpc(endpoint.rpc, node.target, variant)
        else:
            method, _, route = (endpoint.http or "").partition(" ")
            found = {
                "http.request.method": method,
                "url.full": f"http://{host}:{PORT}{_filled(route)}",
                "http.response.status_code": 500 if variant.failed else 200,
                "server.address": host,
                "server.port": PORT,
                **_error_type(variant),
            }
        found["peer.service"] = service_name(node.target)
        if self.estate.services[node.target].kind != "function":
            found["network.peer.address"] = text_of("address", ADDRESS_WIDTH)
        if self.estate.services[node.target].zones:
            found["peer.cloud.availability_zone"] = text_of("zone", ZONE_WIDTH)
        return found

    def _producer(self, node: Node) -> dict[str, Plain]:
        assert node.call is not None  # noqa: S101 - producer spans are made from calls
        return {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": node.call.publish or "",
            "messaging.message.id": text_of("digits", DIGITS),
            "server.address": "kafka.data.svc.cluster.local",
            "server.port": 9092,
        }

    def _proxy(self, node: Node, variant: Variant) -> dict[str, Plain]:
        endpoint = _endpoint(node)
        method, _, route = (endpoint.http or f"POST /{endpoint.rpc}").partition(" ")
        host = self._host(node.service)
        return {
            "component": "proxy",
            "node_id": text_of("node id", variant.node_id_width),
            "http.method": method,
            "http.url": f"http://{host}:{PORT}{_filled(route)}",
            "http.protocol": "HTTP/1.1",
            "http.status_code": "500" if variant.failed else "200",
            "response_flags": "-",
            "upstream_cluster": f"inbound|{PORT}||",
            "upstream_cluster.name": f"inbound|{PORT}||;",
            "downstream_cluster": "-",
            "peer.address": text_of("address", ADDRESS_WIDTH),
            "guid:x-request-id": text_of("request id", 32),
            "istio.canonical_service": service_name(node.service),
            "istio.canonical_revision": "latest",
            "istio.mesh_id": "cluster.local",
            "istio.namespace": self.estate.services[node.service].namespace
            or self.estate.services[node.service].app
            or "default",
        }


def text_places(variant: Variant) -> dict[str, int]:
    """Every place inside attribute texts, with its width."""
    return {
        "digits": DIGITS,
        "address": ADDRESS_WIDTH,
        "zone": ZONE_WIDTH,
        "invocation": 16,
        "request id": 32,
        **({"node id": variant.node_id_width} if variant.node_id_width else {}),
    }


def _endpoint(node: Node) -> Endpoint:
    if node.endpoint is None:
        raise ValueError(f"span {node.index} of {node.service} serves nothing")
    return node.endpoint


def _filled(route: str) -> str:
    """A path with digits in place of its parameters."""
    return re.sub(r"\{[a-z_]+\}", text_of("digits", DIGITS), route)


def _error_type(variant: Variant) -> dict[str, Plain]:
    return {"error.type": "timeout"} if variant.failed else {}


def _flags(node: Node) -> int:
    """Sampled and random trace flags; whether the parent is remote is always known."""
    remote = node.parent >= 0 and node.role in (Role.SERVER, Role.CONSUMER, Role.PROXY)
    return 0x303 if remote else 0x103
