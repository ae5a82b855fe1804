"""An entry point unfolded into the spans one request makes: a flat tree that arrays can be computed over.

Used by the player for traces and by the work model for CPU. Parents stand before their children, so a pass
backwards sums durations and a pass forwards places starts. The trap: a node's `share` is conditional on
its parent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from lowtide.demo.estate import Call, Endpoint, Estate


class Role(StrEnum):
    """What a span stands for. PROXY is a sidecar's span beside its application's; INIT a function's cold
    start."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    INTERNAL = "internal"
    PROXY = "proxy"
    INIT = "init"


@dataclass(frozen=True, slots=True)
class Node:
    """One span of a request."""

    index: int
    parent: int
    """Index of the parent span, -1 for a root of its trace."""
    role: Role
    service: str
    """Estate key of the service that emits it."""
    endpoint: Endpoint | None
    """What is served (SERVER, CONSUMER, PROXY, INIT and the root of a run)."""
    call: Call | None
    """What is done (CLIENT, PRODUCER, INTERNAL) or how the message came (CONSUMER)."""
    target: str
    """Service, dependency or host called; empty where nothing is called."""
    ms: float
    spread: float
    share: float
    error: float
    group: int
    """Place among what the parent waits for; equal numbers run together; -1: the parent does not wait."""
    trace: int
    """0: the trace that arrived; k: a new trace that starts here or above."""
    unit_of: int
    """Node on whose instance it runs: the span that serves."""
    cause: int
    """The producer whose message a consumer takes, else -1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All spans an operation can make."""

    operation: str
    nodes: tuple[Node, ...]
    traces: int
    """Traces a request may open: the arrived one and those of consumers that start their own."""

    @property
    def application_of_root(self) -> str:
        """Estate key of the service that is called from outside."""
        return self.nodes[0].service


class _Unfolding:
    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.nodes: list[Node] = []
        self.traces = 1

    def add(
        self,
        role: Role,
        service: str,
        *,
        parent: int,
        ms: float,
        spread: float,
        group: int,
        trace: int,
        endpoint: Endpoint | None = None,
        call: Call | None = None,
        target: str = "",
        share: float = 1.0,
        error: float = 0.0,
        unit_of: int = -1,
        cause: int = -1,
    ) -> int:
        index = len(self.nodes)
        owner = index if unit_of < 0 else unit_of
        self.nodes.append(
            Node(
                index,
                parent,
                role,
                service,
                endpoint,
                call,
                target,
                ms,
                spread,
                share,
                error,
                group,
                trace,
                owner,
                cause,
            )
        )
        return index

    def serve(self, reference: str, *, parent: int, group: int, trace: int, call: Call | None = None) -> None:
        """The receiving side of a call: sidecar if it speaks, application, function start."""
        service, endpoint = self.estate.endpoints[reference]
        described = self.estate.services[service]
        if described.proxy_spans and endpoint.consume is None:
            owner = len(self.nodes) + 1
            parent = self.add(
                Role.PROXY, service, parent=parent, ms=0.55, spread=0.3, group=group, trace=trace,
                endpoint=endpoint, unit_of=owner,
            )  # fmt: skip
            group = 0
        if endpoint.run is not None:
            role = Role.INTERNAL
        else:
            role = Role.CONSUMER if endpoint.consume else Role.SERVER
        index = self.add(
            role, service, parent=parent, ms=endpoint.ms, spread=endpoint.spread, group=group, trace=trace,
            endpoint=endpoint, call=call, error=endpoint.error,
        )  # fmt: skip
        self._work(index, service, endpoint, trace)
        if described.kind == "function":
            self.add(
                Role.INIT, service, parent=index if parent < 0 else parent, ms=described.cold_ms, spread=0.18,
                group=-1, trace=trace, endpoint=endpoint, unit_of=index, cause=index,
            )  # fmt: skip

    def _work(self, parent: int, service: str, endpoint: Endpoint, trace: int) -> None:
        group = -1
        for call in endpoint.calls:
            if not (call.together and group >= 0):
                group += 1
            self._call(call, parent, service, group, trace)

    def _call(self, call: Call, parent: int, service: str, group: int, trace: int) -> None:
        if call.publish is not None:
            role, target = Role.PRODUCER, "kafka"
        elif call.inside is not None:
            role, target = Role.INTERNAL, ""
        else:
            role = Role.CLIENT
            target = (
                self.estate.endpoints[call.to][0]
                if call.to
                else ("postgres" if call.db else call.external or "")
            )
        index = self.add(
            role, service, parent=parent, ms=call.ms, spread=call.spread, group=group, trace=trace, call=call,
            target=target, share=call.share, error=call.error, unit_of=parent,
        )  # fmt: skip
        if call.to is not None:
            self.serve(call.to, parent=index, group=0, trace=trace, call=call)
        for consumer in call.consumers:
            self._consume(consumer, call, index, trace)

    def _consume(self, reference: str, call: Call, producer: int, trace: int) -> None:
        own = trace
        if call.trace == "new":
            own, self.traces = self.traces, self.traces + 1
        index = len(self.nodes)
        self.serve(reference, parent=-1 if call.trace == "new" else producer, group=-1, trace=own, call=call)
        self.nodes[index] = replace(self.nodes[index], share=1.0 / call.batch, cause=producer)


def unfold(estate: Estate, operation: str) -> Plan:
    """The plan of an operation. Raises RecursionError if endpoints call each other in a circle."""
    work = _Unfolding(estate)
    work.serve(estate.operations[operation].entry, parent=-1, group=0, trace=0)
    return Plan(operation, tuple(work.nodes), work.traces)
