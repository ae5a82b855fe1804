"""What one request of each operation costs each service, and so what everybody burns minute by minute.

Used by the autoscaler model, the usage metrics, the objectives on labels and the truth file. The means
come from one fixed sample that does not depend on the seed, so the estate's objectives are the same for
everyone. The trap: a database and a broker have no spans; their work is the time of the client and
producer spans that wait for them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lowtide.demo.calls import Node, Plan, Role
from lowtide.demo.draw import stream
from lowtide.demo.estate import Estate
from lowtide.demo.timing import Timing, play
from lowtide.demo.wire import Floats

SAMPLE = 4000
FIXED_SEED = 1
SERVING = (Role.SERVER, Role.CONSUMER)


def worker_of(node: Node) -> str | None:
    """The service whose work a span's own time is: the emitter's, or the uninstrumented store it waits
    for."""
    if node.role in (Role.SERVER, Role.CONSUMER, Role.INTERNAL):
        return node.service
    if node.role is Role.PRODUCER:
        return "kafka"
    if node.role is Role.CLIENT and node.call is not None and node.call.db is not None:
        return "postgres"
    return None


@dataclass(frozen=True)
class Work:
    """Means per request of an operation, by operation and service key."""

    own_ms: dict[str, dict[str, float]]
    """Own time on the service."""
    calls: dict[str, dict[str, float]]
    """Requests and messages the service takes."""
    hops: dict[str, dict[str, float]]
    """Passages through the service's sidecar: calls in and calls out."""
    spans: dict[str, float]
    """Spans a request makes."""
    objectives_ms: dict[str, float]
    """p99 objective by service: given in the estate, or just above what latency-bound services reach."""


def measured(estate: Estate, plans: Mapping[str, Plan], peak_per_minute: Mapping[str, float]) -> Work:
    """Plays a fixed sample of every operation. `peak_per_minute` weighs operations in a service's p99."""
    own: dict[str, dict[str, float]] = {}
    calls: dict[str, dict[str, float]] = {}
    hops: dict[str, dict[str, float]] = {}
    spans: dict[str, float] = {}
    lasting: dict[str, list[tuple[Floats, float]]] = defaultdict(list)
    for name, plan in plans.items():
        timing = play(plan, np.arange(SAMPLE, dtype=np.float64) * 1e6, stream(FIXED_SEED, "work", name))
        own[name], calls[name], hops[name] = _means(timing)
        spans[name] = sum(float(active.mean()) for active in timing.active)
        for node in plan.nodes:
            if node.role is Role.SERVER:
                durations = timing.duration_ms[node.index][timing.active[node.index]]
                lasting[node.service].append((durations, peak_per_minute.get(name, 0.0) / SAMPLE))
    return Work(own, calls, hops, spans, _objectives(estate, lasting))


def _means(timing: Timing) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    own: dict[str, float] = defaultdict(float)
    calls: dict[str, float] = defaultdict(float)
    hops: dict[str, float] = defaultdict(float)
    for node in timing.plan.nodes:
        active = timing.active[node.index]
        share = float(active.mean())
        worker = worker_of(node)
        if worker is not None:
            own[worker] += float(timing.own_ms[node.index][active].sum()) / len(active)
        if node.role in SERVING:
            calls[node.service] += share
        if node.role in (*SERVING, Role.CLIENT, Role.PRODUCER):
            hops[node.service] += share
        if node.target in ("postgres", "kafka"):
            calls[node.target] += share
    return dict(own), dict(calls), dict(hops)


def _objectives(estate: Estate, lasting: Mapping[str, list[tuple[Floats, float]]]) -> dict[str, float]:
    objectives = {}
    for key, service in estate.services.items():
        if service.objective_ms is not None:
            objectives[key] = service.objective_ms
        elif service.latency_bound and key in lasting:
            objectives[key] = math.ceil(weighted_quantile(lasting[key], 0.99) * 10.0 + 0.5) / 10.0
    return objectives


def weighted_quantile(parts: list[tuple[Floats, float]], quantile: float) -> float:
    """Quantile of several samples, each value of a sample weighing the same. NaN if everything weighs
    nothing."""
    values = np.concatenate([sample for sample, _ in parts])
    weights = np.concatenate([np.full(len(sample), weight) for sample, weight in parts])
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    if not len(total) or total[-1] == 0.0:
        return math.nan
    return float(values[order][np.searchsorted(total, quantile * total[-1])])


def demand_m(
    estate: Estate, own_ms: Mapping[str, Mapping[str, float]], per_minute: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Millicores each service burns per minute beyond its floor, for these requests per minute."""
    found: dict[str, Floats] = {}
    for operation, requests in per_minute.items():
        for key, ms in own_ms[operation].items():
            share = estate.services[key].cpu_share
            burnt = requests * (ms * share / 60.0)  # ms a minute / 60,000 ms a minute x 1000 m
            found[key] = found[key] + burnt if key in found else burnt
    return found
