"""Zipkin v2 spans in JSON as an OTLP traces request (OpenTelemetry specification, "Zipkin", the other way
round; where that is silent, as the Collector's Zipkin receiver has it). `collector.foreign.protocols` calls
`translate`.

Two traps. Zipkin's shared spans: a server goes on with the id of its caller's span, where OTLP wants an id
for each. So a shared server span gets an id of its own, made of both, and the caller's span as its parent,
which it is; what the same service wrote below it in the same request is put below the new id. And Zipkin
leaves a start open that is not known; a span has the time of its first annotation then, or is refused.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import orjson

from collector.check.wording import quoted
from collector.foreign.building import NO_SCOPE, Attributes, Builder, Value, put, time_ns
from collector.foreign.jsons import Place, read
from collector.foreign.tags import Tags, is_of_resource, take_scope, take_state, take_status
from collector.foreign.translated import Translated
from ingest.signals import Signal

_WHAT: Final = "Zipkin v2 JSON"
_NS_PER_US: Final = 1000
_KINDS: Final = {"": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
"""Numbers of OTLP; a span without a kind is local to its process."""
_ID_CHARS: Final = 16
_TRACE_ID_CHARS: Final = 32
_NO_TIME: Final = "without timestamp and annotations"

_Shared = set[tuple[bytes, bytes, str]]
"""Trace id, span id and service of shared spans."""


def translate(body: bytes, *, limit_bytes: int, memory_bytes: int) -> Translated:
    """Translate an uncompressed request: a list of spans. Raises BadRequestError naming what is wrong and
    where, TooLargeError if it would take too much as OTLP, or too much memory to read."""
    spans = [_Span(place) for place in Place(read(body, _WHAT, memory_bytes=memory_bytes), _WHAT).items()]
    shared = {(span.trace_id, span.id, span.service) for span in spans if span.is_shared}
    built = Builder(Signal.TRACES)
    for span in spans:
        span.add_to(built, shared)
    return built.translated(limit_bytes)


class _Span:
    """One span, read as far as others need to know it."""

    __slots__ = ("_kind", "_place", "id", "is_shared", "parent_id", "service", "trace_id")

    def __init__(self, place: Place) -> None:
        if not isinstance(place.value, dict):
            raise place.wrong("an object")
        self._place = place
        self.trace_id = _id_of(place.field("traceId"), _TRACE_ID_CHARS)
        self.id = _id_of(place.field("id"), _ID_CHARS)
        self.parent_id = _id_of(place.field("parentId"), _ID_CHARS, is_needed=False)
        kind = place.field("kind")
        self._kind = _KINDS.get(kind.text().upper(), 0)
        if not self._kind:
            raise kind.wrong("CLIENT, SERVER, PRODUCER or CONSUMER")
        self.is_shared = place.field("shared").truth() and kind.text().upper() == "SERVER"
        self.service = place.field("localEndpoint").field("serviceName").text()

    def add_to(self, built: Builder, shared: _Shared) -> None:
        """Write it, or say why not."""
        place = self._place
        name = place.field("name").text()
        tags = _tags_of(place.field("tags"))
        events = [
            (_event_ns(event), event.field("value").text()) for event in place.field("annotations").items()
        ]
        start_ns = _NS_PER_US * place.field("timestamp").whole() or min((at for at, _ in events), default=0)
        if not start_ns:
            built.refused.add(_NO_TIME, lambda: f"span {quoted(name)} of service {quoted(self.service)}")
            return
        scope = take_scope(tags) if tags else NO_SCOPE
        span = built.add(self._resource(tags), scope)
        span.trace_id, span.span_id = self.trace_id, self.id
        if self.is_shared:
            span.span_id, span.parent_span_id = _own_id(self.trace_id, self.id), self.id
        elif self.parent_id and self.parent_id != self.id:
            is_below = (self.trace_id, self.parent_id, self.service) in shared
            span.parent_span_id = _own_id(self.trace_id, self.parent_id) if is_below else self.parent_id
        span.name, span.kind = name, self._kind
        span.start_time_unix_nano = time_ns(start_ns)
        span.end_time_unix_nano = time_ns(start_ns + _NS_PER_US * place.field("duration").whole())
        take_status(tags, span)
        take_state(tags, span)
        put(span.attributes, (*tags.items(), *self._said_elsewhere().items()))
        for at_ns, value in events:
            _put_event(span.events.add(time_unix_nano=time_ns(at_ns)), value)

    def _resource(self, tags: Tags) -> Attributes:
        """What is about the process; taken out of the tags. The endpoint's name goes before a tag's."""
        pairs: dict[str, Value] = {name: tags.pop(name) for name in list(tags) if is_of_resource(name)}
        source = str(tags.pop("otlp.service.name.source", "service.name"))
        if self.service:
            pairs[source] = self.service
        return tuple(sorted(pairs.items()))

    def _said_elsewhere(self) -> Tags:
        """What Zipkin has fields for, and OTLP attributes."""
        said: Tags = {}
        for name, field, service in (
            ("network.local", "localEndpoint", ""),
            ("network.peer", "remoteEndpoint", "peer.service"),
        ):
            endpoint = self._place.field(field)
            address = endpoint.field("ipv4").text() or endpoint.field("ipv6").text()
            pairs: Tags = {
                service: endpoint.field("serviceName").text(),
                f"{name}.address": address,
                f"{name}.port": endpoint.field("port").whole(),
            }
            said |= {key: value for key, value in pairs.items() if key and value}
        for flag in ("debug", "shared"):
            if self._place.field(flag).truth():
                said[f"zipkin.{flag}"] = True
        return said


def _id_of(place: Place, chars: int, *, is_needed: bool = True) -> bytes:
    """An id in hexadecimal, padded from the left; empty if it is not there and not needed."""
    text = place.text()
    if not text and not is_needed:
        return b""
    try:
        if not 0 < len(text) <= chars or not text.isalnum():
            raise place.wrong(_hexadecimal(chars))
        return bytes.fromhex(text.rjust(chars, "0"))
    except ValueError as error:
        raise place.wrong(_hexadecimal(chars)) from error


def _hexadecimal(chars: int) -> str:
    return f"an id of 1 to {chars} hexadecimal digits"


def _own_id(trace_id: bytes, caller_id: bytes) -> bytes:
    """The id of a server's side of a shared span: the same whenever and wherever it is made."""
    return sha256(b"zipkin shared" + trace_id + caller_id).digest()[:8]


def _tags_of(place: Place) -> Tags:
    """Texts; other scalars, which some write, as they are."""
    tags: Tags = {}
    for name, value in place.fields().items():
        if not isinstance(value, str | bool | int | float):
            raise Place(value, _WHAT, f"{place.way}.{name[:100]}").wrong("a text")
        tags[name] = value
    return tags


def _event_ns(place: Place) -> int:
    if not isinstance(place.value, dict):
        raise place.wrong("an object")
    return _NS_PER_US * place.field("timestamp").whole()


def _put_event(event: Any, value: str) -> None:
    """An annotation is a text. OpenTelemetry's exporters write `{"name": {"attribute": value}}` into it."""
    event.name = value
    if not value.startswith('{"'):
        return
    try:
        read_value = orjson.loads(value)
    except orjson.JSONDecodeError:
        return
    match list(read_value.items()):
        case [(str(name), dict(attributes))]:
            event.name = name
            put(event.attributes, ((key, _scalar(of)) for key, of in attributes.items()))


def _scalar(value: Any) -> Value:
    return value if isinstance(value, str | bool | int | float) else orjson.dumps(value).decode()
