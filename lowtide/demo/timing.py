"""When every span of many requests starts and ends, whether it happens at all, and whether it fails: arrays
only.

Used by the player on arrivals, and by the work model on a fixed sample. Times are milliseconds since the
beginning of a slice, as float64: over a week that is exact to a nanosecond. The trap: consumers and cold
starts are not waited for in the same way as calls, so they are placed after the parents, in a pass of
their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lowtide.demo.calls import Node, Plan, Role
from lowtide.demo.draw import lognormal
from lowtide.demo.wire import Flags, Floats, Integers

ColdStarts = Callable[[Node, Floats, Floats, Flags], tuple[Flags, Integers]]
"""(function node, starts ms, durations ms, active) -> (cold?, unit) for every request."""


@dataclass(slots=True)
class Timing:
    """Per node an array over the requests."""

    plan: Plan
    active: list[Flags]
    own_ms: list[Floats]
    """Time of its own, without what it waits for."""
    failed: list[Flags]
    duration_ms: list[Floats] = field(default_factory=list)
    start_ms: list[Floats] = field(default_factory=list)
    units: dict[int, Integers] = field(default_factory=dict)
    """Function node -> execution environment of each request."""
    wait_ms: dict[int, Floats] = field(default_factory=dict)
    """Function node -> init time that lengthens the call."""


def play(
    plan: Plan,
    arrivals_ms: Floats,
    rng: np.random.Generator,
    *,
    whole: bool = True,
    cold_starts: ColdStarts | None = None,
) -> Timing:
    """All spans of requests that arrive at these times (sorted).

    `whole` says that every request is here, not a sample: then each n-th message closes a batch; in a
    sample every message does so by chance. Without `cold_starts` functions are always warm and have no
    units.
    """
    timing = _drawn(plan, len(arrivals_ms), rng, whole=whole)
    delays = {
        node.index: lognormal(rng, node.call.delay_s * 1000.0, 0.5, len(arrivals_ms))
        for node in plan.nodes
        if node.cause >= 0 and node.role is not Role.INIT and node.call is not None
    }
    functions = [node for node in plan.nodes if node.role is Role.INIT]
    _place(timing, arrivals_ms, delays)
    for init in functions:
        _start_functions(timing, init, cold_starts)
    if functions:
        _place(timing, arrivals_ms, delays)
        for init in functions:
            timing.start_ms[init.index] = timing.start_ms[init.cause] - timing.duration_ms[init.index]
    return timing


def _drawn(plan: Plan, count: int, rng: np.random.Generator, *, whole: bool) -> Timing:
    active: list[Flags] = []
    own: list[Floats] = []
    failed: list[Flags] = []
    for node in plan.nodes:
        before = node.parent if node.parent >= 0 else node.cause
        happens = active[before].copy() if 0 <= before < node.index else np.ones(count, dtype=np.bool_)
        batch = (
            node.call.batch if node.cause >= 0 and node.call is not None and node.role is not Role.INIT else 1
        )
        if batch > 1 and whole:
            happens &= np.cumsum(happens) % batch == 0
        elif node.share < 1.0:
            happens &= rng.random(count) < node.share
        active.append(happens)
        own.append(lognormal(rng, node.ms, node.spread, count))
        failed.append(
            (rng.random(count) < node.error) & happens if node.error else np.zeros(count, dtype=np.bool_)
        )
    for node in reversed(plan.nodes):
        optional = node.call is not None and node.call.optional and node.role is Role.CLIENT
        if node.parent >= 0 and node.group >= 0 and not optional:
            failed[node.parent] |= failed[node.index]
    return Timing(plan, active, own, failed)


def _waited_for(plan: Plan) -> list[list[list[Node]]]:
    """Per node, in order, the groups of children it waits for."""
    children: list[dict[int, list[Node]]] = [{} for _ in plan.nodes]
    for node in plan.nodes:
        if node.parent >= 0 and node.group >= 0:
            children[node.parent].setdefault(node.group, []).append(node)
    return [[groups[key] for key in sorted(groups)] for groups in children]


def _place(timing: Timing, arrivals_ms: Floats, delays: dict[int, Floats]) -> None:
    plan = timing.plan
    groups = _waited_for(plan)
    count = len(arrivals_ms)
    spans: list[list[Floats]] = [[] for _ in plan.nodes]
    durations: list[Floats] = [np.zeros(0)] * len(plan.nodes)
    for node in reversed(plan.nodes):
        for group in groups[node.index]:
            longest = np.zeros(count)
            for child in group:
                lasting = durations[child.index] + timing.wait_ms.get(child.index, 0.0)
                np.maximum(longest, np.where(timing.active[child.index], lasting, 0.0), out=longest)
            spans[node.index].append(longest)
        durations[node.index] = timing.own_ms[node.index] + np.sum(spans[node.index], axis=0, initial=0.0)
    timing.duration_ms = durations
    starts: list[Floats] = [arrivals_ms] * len(plan.nodes)
    for node in plan.nodes:
        if node.role is not Role.INIT and node.cause >= 0:
            starts[node.index] = _consumed_at(
                timing, node, starts[node.cause] + durations[node.cause], delays
            )
        elif node.parent < 0:
            starts[node.index] = arrivals_ms + timing.wait_ms.get(node.index, 0.0)
        cursor = starts[node.index]
        between = timing.own_ms[node.index] / (len(groups[node.index]) + 1)
        for group, longest in zip(groups[node.index], spans[node.index], strict=True):
            cursor = cursor + between
            for child in group:
                starts[child.index] = cursor + timing.wait_ms.get(child.index, 0.0)
            cursor = cursor + longest
    timing.start_ms = starts


def _consumed_at(timing: Timing, node: Node, sent_ms: Floats, delays: dict[int, Floats]) -> Floats:
    """Start of processing: after the delay, a cold start, and behind the messages that came before."""
    assert node.call is not None  # noqa: S101 - consumers always carry the call that published
    ready = sent_ms + delays[node.index] + timing.wait_ms.get(node.index, 0.0)
    if not node.call.workers:
        return ready
    started = ready.copy()
    queue = np.flatnonzero(timing.active[node.index])
    queue = queue[np.argsort(ready[queue], kind="stable")]
    for worker in range(node.call.workers):
        mine = queue[worker :: node.call.workers]
        service = timing.duration_ms[node.index][mine]
        before = np.cumsum(service) - service
        started[mine] = before + np.maximum.accumulate(ready[mine] - before)
    return started


def _start_functions(timing: Timing, init: Node, cold_starts: ColdStarts | None) -> None:
    count = len(timing.active[init.index])
    timing.duration_ms[init.index] = timing.own_ms[init.index]
    if cold_starts is None:
        timing.active[init.index] = np.zeros(count, dtype=np.bool_)
        return
    function = timing.plan.nodes[init.cause]
    cold, units = cold_starts(
        function,
        timing.start_ms[function.index],
        timing.duration_ms[function.index],
        timing.active[function.index],
    )
    timing.active[init.index] = cold
    timing.units[function.index] = units
    timing.wait_ms[function.index] = np.where(cold, timing.own_ms[init.index], 0.0)
