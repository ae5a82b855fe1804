"""Requests of one operation over a stretch of time, written as spans and log records.

Used by the player, slice by slice. The trap: a trace that has not ended when the history ends is not sent
at all - a sender cannot have finished spans that are still running.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

from lowtide.demo.calls import Node, Plan, Role
from lowtide.demo.coldmetrics import ColdStartMetrics
from lowtide.demo.estate import Estate
from lowtide.demo.fleet import Fleet
from lowtide.demo.functions import FunctionPools
from lowtide.demo.logshape import LogShapes
from lowtide.demo.manifest import Manifest
from lowtide.demo.packing import Block, Pack
from lowtide.demo.spanshape import DIGITS, SpanShapes, Variant
from lowtide.demo.timing import Timing, play
from lowtide.demo.wire import Flags, Floats, Integers, Octets, digits, field, fixed64, hexes, texts

RANDOM_BITS = 56
LIBRARIES = {
    ("java", "http"): ("io.opentelemetry.tomcat-10.0", "2.9.0-alpha"),
    ("java", "rpc"): ("io.opentelemetry.grpc-1.6", "2.9.0-alpha"),
    ("java", "messaging"): ("io.opentelemetry.kafka-clients-2.6", "2.9.0-alpha"),
    ("java", "db"): ("io.opentelemetry.jdbc", "2.9.0-alpha"),
    ("nodejs", "http"): ("@opentelemetry/instrumentation-http", "0.52.1"),
    ("nodejs", "rpc"): ("@opentelemetry/instrumentation-grpc", "0.52.1"),
    ("nodejs", "messaging"): ("@opentelemetry/instrumentation-kafkajs", "0.2.0"),
    ("nodejs", "db"): ("@opentelemetry/instrumentation-pg", "0.43.0"),
    ("python", "http"): ("opentelemetry.instrumentation.asgi", "0.45b0"),
    ("python", "rpc"): ("opentelemetry.instrumentation.grpc", "0.45b0"),
    ("python", "messaging"): ("opentelemetry.instrumentation.aiokafka", "0.45b0"),
    ("python", "db"): ("opentelemetry.instrumentation.asyncpg", "0.45b0"),
    ("go", "http"): ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.57.0"),
    ("go", "rpc"): ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "0.57.0"),
    ("go", "messaging"): ("github.com/dnwe/otelsarama", "0.4.0"),
    ("go", "db"): ("github.com/XSAM/otelsql", "0.36.0"),
    ("", "app"): ("papercrane", "1.0.0"),
    ("", "proxy"): ("", ""),
}
SCOPES = list(LIBRARIES)
PROXY_SCOPE = SCOPES.index(("", "proxy"))
APP_SCOPE = SCOPES.index(("", "app"))


def scope_field(scope: int) -> bytes:
    """Field 1 of ScopeSpans and ScopeLogs. Envoy names no scope, so a sidecar's is absent."""
    name, version = LIBRARIES[SCOPES[scope]]
    return field(1, InstrumentationScope(name=name, version=version).SerializeToString()) if name else b""


@dataclass(slots=True)
class Ids:
    """Identity of every span of some requests."""

    traces: list[Octets]
    spans: list[Octets]
    numbers: Integers
    """A number per request, for digits in paths and messages."""


@dataclass(slots=True)
class Told:
    """What a slice of an operation really was: for the truth file."""

    kept: int
    own_ms: dict[int, float]
    """Own time by node index, summed over the traces that were sent."""


class TraceWriter:
    """Writes spans into `spans` and log records into `logs`."""

    def __init__(
        self,
        estate: Estate,
        fleet: Fleet,
        pools: FunctionPools,
        manifest: Manifest,
        cold_starts: ColdStartMetrics,
        spans: Pack,
        logs: Pack,
    ) -> None:
        self.estate = estate
        self.fleet = fleet
        self.pools = pools
        self.manifest = manifest
        self.spans = spans
        self.logs = logs
        self.cold_starts = cold_starts
        self.span_shapes = SpanShapes(estate)
        self.log_shapes = LogShapes(estate)

    def write(
        self,
        plan: Plan,
        arrivals_ns: Integers,
        rng: np.random.Generator,
        *,
        base_ns: int,
        keep_one_in: int,
        not_after_ns: int | None,
    ) -> Told:
        """All spans and log records of these requests, each kept with probability 1/keep_one_in.

        `base_ns` is the slice's beginning; traces with a span that ends after `not_after_ns` are left out.
        """
        timing = play(
            plan,
            (arrivals_ns - base_ns) / 1e6,
            rng,
            whole=keep_one_in == 1,
            cold_starts=lambda node, start, lasting, active: self.pools.serve(
                node, _ns(start, base_ns), _ns(start + lasting, base_ns), active
            ),
        )
        if not_after_ns is not None:
            _leave_out_unfinished(timing, (not_after_ns - base_ns) / 1e6)
        writing = _Writing(
            self, timing, base_ns, keep_one_in, _draw_ids(plan, len(arrivals_ns), keep_one_in, rng)
        )
        writing.place_units(rng)
        for node in plan.nodes:
            writing.spans_of(node)
            writing.logs_of(node, rng)
        own = {
            node.index: float(timing.own_ms[node.index][timing.active[node.index]].sum())
            for node in plan.nodes
        }
        return Told(int(timing.active[0].sum()), own)


def _ns(milliseconds: Floats, base_ns: int) -> Integers:
    return base_ns + np.rint(milliseconds * 1e6).astype(np.int64)


def _leave_out_unfinished(timing: Timing, end_ms: float) -> None:
    finished = np.ones(len(timing.active[0]), dtype=np.bool_)
    for active, start, lasting in zip(timing.active, timing.start_ms, timing.duration_ms, strict=True):
        finished &= ~active | (start + lasting <= end_ms)
    timing.active[:] = [active & finished for active in timing.active]


def _draw_ids(plan: Plan, count: int, keep_one_in: int, rng: np.random.Generator) -> Ids:
    """Random ids; the last 56 bits of a trace id are at or above the rejection threshold, so the decision is
    consistent."""
    threshold = (1 << RANDOM_BITS) - (1 << RANDOM_BITS) // keep_one_in
    traces = []
    numbers = np.zeros(count, dtype=np.int64)
    for slot in range(plan.traces):
        randomness = rng.integers(threshold, 1 << RANDOM_BITS, count)
        octets = rng.integers(0, 256, (count, 16), dtype=np.uint8)
        octets[:, 9:] = randomness.astype(">i8").view(np.uint8).reshape(count, 8)[:, 1:]
        octets[:, 0] |= 1
        traces.append(octets)
        if slot == 0:
            numbers = randomness & ((1 << 40) - 1)
    spans = []
    for _ in plan.nodes:
        octets = rng.integers(0, 256, (count, 8), dtype=np.uint8)
        octets[:, 0] |= 1
        spans.append(octets)
    return Ids(traces, spans, numbers)


class _Writing:
    """One operation, one slice."""

    def __init__(self, writer: TraceWriter, timing: Timing, base_ns: int, keep_one_in: int, ids: Ids) -> None:
        self.writer = writer
        self.timing = timing
        self.keep_one_in = keep_one_in
        self.ids = ids
        self.nodes = timing.plan.nodes
        self.starts = [_ns(start, base_ns) for start in timing.start_ms]
        self.ends = [
            _ns(start + lasting, base_ns)
            for start, lasting in zip(timing.start_ms, timing.duration_ms, strict=True)
        ]
        self.units: list[Integers] = [np.zeros(0, dtype=np.int64)] * len(self.nodes)
        self.served_by = {self._caller(node): node.index for node in self.nodes if node.unit_of == node.index}

    def _caller(self, node: Node) -> int:
        """The client span whose call a serving span takes; -1 from outside or from a queue."""
        parent = node.parent
        if parent >= 0 and self.nodes[parent].role is Role.PROXY:
            parent = self.nodes[parent].parent
        return parent if parent >= 0 and self.nodes[parent].role is Role.CLIENT else -1

    def place_units(self, rng: np.random.Generator) -> None:
        """Choose the instance that serves each request, then give it to the spans made there."""
        for node in self.nodes:
            if node.unit_of == node.index:
                self.units[node.index] = self._units_of(node, rng)
        for node in self.nodes:
            self.units[node.index] = self.units[node.unit_of]

    def _units_of(self, node: Node, rng: np.random.Generator) -> Integers:
        if node.index in self.timing.units:
            return self.timing.units[node.index]
        active = self.timing.active[node.index]
        caller = self._caller(node)
        far = caller >= 0 and (call := self.nodes[caller].call) is not None and call.far
        units = np.full(len(active), -1, dtype=np.int64)
        units[active] = self.writer.fleet.assign(
            node.service,
            self.starts[node.index][active],
            rng,
            callers=self.units[self.nodes[caller].unit_of][active] if caller >= 0 else None,
            far=far,
        )
        return units

    def spans_of(self, node: Node) -> None:
        """Write the spans of one node."""
        active = self.timing.active[node.index]
        failed = self.timing.failed[node.unit_of if node.role is Role.PROXY else node.index]
        cold = np.zeros(len(active), dtype=np.bool_)
        for init in self.nodes:
            if init.role is Role.INIT and init.cause == node.index:
                cold = self.timing.active[init.index]
        for is_failed, is_cold in ((False, False), (False, True), (True, False), (True, True)):
            chosen = np.flatnonzero(active & (failed == is_failed) & (cold == is_cold))
            if len(chosen):
                self._write(node, chosen, is_failed, is_cold)

    def _write(self, node: Node, chosen: Integers, failed: bool, cold: bool) -> None:
        links = self._links(node, chosen)
        node_ids = self._node_ids(chosen, node) if node.role is Role.PROXY else None
        variant = Variant(
            self.keep_one_in, failed, cold, len(links) // 2, 0 if node_ids is None else node_ids.shape[1]
        )
        template = self.writer.span_shapes.template(self.timing.plan.operation, node, variant)
        starts, ends = self.starts[node.index][chosen], self.ends[node.index][chosen]
        trace, span = self.ids.traces[node.trace][chosen], self.ids.spans[node.index][chosen]
        values: dict[str, Octets] = {
            "trace": trace,
            "span": span,
            "start": fixed64(starts),
            "end": fixed64(ends),
            **links,
        }
        if node.parent >= 0:
            values["parent"] = self.ids.spans[node.parent][chosen]
        if "event" in template.places:
            values["event"] = fixed64(ends - (ends - starts) // 16)
        if node_ids is not None:
            values["node id"] = node_ids
        self._texts(node, chosen, template.places, values)
        units = self.units[node.index][chosen]
        self.writer.spans.add(
            Block(template.fill(len(chosen), values), units, self._scope(node), starts, ends)
        )
        self.writer.manifest.spans(node.service, trace, span)
        if node.role is Role.INIT:
            self.writer.cold_starts.saw(node.service, starts, self.timing.own_ms[node.index][chosen])

    def _texts(
        self,
        node: Node,
        chosen: Integers,
        places: dict[str, tuple[int, tuple[int, ...]]],
        values: dict[str, Octets],
    ) -> None:
        if "digits" in places:
            values["digits"] = digits(self.ids.numbers[chosen], DIGITS)
        if "invocation" in places:
            values["invocation"] = hexes(self.ids.spans[node.index][chosen])
        if "request id" in places:
            values["request id"] = hexes(self.ids.traces[node.trace][chosen])
        peers = self.units[self.served_by[node.index]][chosen] if node.index in self.served_by else None
        if node.role is Role.PROXY:
            peers = self.units[node.index][chosen]
        if peers is None:
            return
        known, where = np.unique(peers, return_inverse=True)
        units = [self.writer.fleet.units[index] for index in known.tolist()]
        if "address" in places:
            values["address"] = texts([unit.address for unit in units])[where]
        if "zone" in places:
            values["zone"] = texts([unit.node.zone if unit.node else "" for unit in units])[where]

    def _node_ids(self, chosen: Integers, node: Node) -> Octets:
        known, where = np.unique(self.units[node.index][chosen], return_inverse=True)
        units = [self.writer.fleet.units[index] for index in known.tolist()]
        names = [
            f"sidecar~{unit.address}~{unit.name}.{unit.workload.namespace}~{unit.workload.namespace}.svc.cluster.local"
            for unit in units
        ]
        return texts(names)[where]

    def _links(self, node: Node, chosen: Integers) -> dict[str, Octets]:
        """A consumer in a trace of its own points at the messages it took."""
        if node.cause < 0 or node.parent >= 0 or node.role is Role.INIT or node.call is None:
            return {}
        producer = self.nodes[node.cause]
        sent = np.flatnonzero(self.timing.active[producer.index])
        last = np.searchsorted(sent, chosen)
        count = node.call.batch if self.keep_one_in == 1 else 1
        links: dict[str, Octets] = {}
        for number in range(count):
            message = sent[np.maximum(last - (count - 1 - number), 0)]
            links[f"link trace {number}"] = self.ids.traces[producer.trace][message]
            links[f"link span {number}"] = self.ids.spans[producer.index][message]
        return links

    def _scope(self, node: Node) -> int:
        if node.role is Role.PROXY:
            return PROXY_SCOPE
        if node.role in (Role.INTERNAL, Role.INIT):
            return APP_SCOPE
        sdk = self.writer.estate.services[node.service].sdk
        language = self.writer.estate.sdks[sdk].language if sdk else ""
        return SCOPES.index((language, _family(node, self.writer.estate)))

    def logs_of(self, node: Node, rng: np.random.Generator) -> None:
        """Write the log records of one serving span."""
        if node.endpoint is None or node.role not in (Role.SERVER, Role.CONSUMER, Role.INTERNAL):
            return
        active, failed = self.timing.active[node.index], self.timing.failed[node.index]
        for line in self.writer.log_shapes.lines(node.service, node.endpoint):
            wanted: Flags = active & failed if line.only_failed else active
            if line.share < 1.0:
                wanted = wanted & (rng.random(len(active)) < line.share)
            chosen = np.flatnonzero(wanted)
            for turn in range(line.times if len(chosen) else 0):
                starts, ends = self.starts[node.index][chosen], self.ends[node.index][chosen]
                at = starts + (ends - starts) * (turn + 1) // (line.times + 1)
                values = {
                    "time": fixed64(at),
                    "observed": fixed64(at + 1_000_000),
                    "trace": self.ids.traces[node.trace][chosen],
                    "span": self.ids.spans[node.index][chosen],
                }
                if "digits" in line.template.places:
                    values["digits"] = digits(self.ids.numbers[chosen], DIGITS)
                rows = line.template.fill(len(chosen), values)
                self.writer.logs.add(Block(rows, self.units[node.index][chosen], APP_SCOPE, at, ends))
                self.writer.manifest.logs(node.service, len(chosen))


def _family(node: Node, estate: Estate) -> str:
    if node.role in (Role.PRODUCER, Role.CONSUMER):
        return "messaging"
    if node.call is not None and node.call.db is not None:
        return "db"
    endpoint = node.endpoint
    if node.role is Role.CLIENT and node.call is not None and node.call.to is not None:
        endpoint = estate.endpoints[node.call.to][1]
    return "rpc" if endpoint is not None and endpoint.rpc is not None else "http"
