"""Execution environments of functions: one request each at a time, kept for ten minutes after their last
request.

Used by the trace writer, in order of time. The most recently used free environment takes the next request,
as the platforms do. The trap: a pool remembers its environments from slice to slice, so slices must come
in order.
"""

from __future__ import annotations

import numpy as np

from lowtide.demo.calls import Node
from lowtide.demo.draw import stream
from lowtide.demo.fleet import Fleet
from lowtide.demo.wire import Flags, Integers
from lowtide.demo.workloads import Unit, Workload

KEEP_ALIVE_NS = 600 * 1_000_000_000


class FunctionPools:
    """The environments of every function."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.workloads: dict[str, Workload] = {
            workload.key: workload for workload in fleet.workloads if workload.service.kind == "function"
        }
        self.free: dict[str, list[tuple[int, int]]] = {key: [] for key in self.workloads}
        """Per function (free since, unit)."""
        self._rng = {key: stream(seed, "function", key) for key in self.workloads}

    def serve(
        self, node: Node, starts_ns: Integers, ends_ns: Integers, active: Flags
    ) -> tuple[Flags, Integers]:
        """Whether each invocation starts cold, and the unit that takes it (-1 where there is none)."""
        cold = np.zeros(len(active), dtype=np.bool_)
        units = np.full(len(active), -1, dtype=np.int64)
        chosen = np.flatnonzero(active)
        chosen = chosen[np.argsort(starts_ns[chosen], kind="stable")]
        pool = self.free[node.service]
        for index, start, end in zip(
            chosen.tolist(), starts_ns[chosen].tolist(), ends_ns[chosen].tolist(), strict=True
        ):
            warm = [entry for entry in pool if start - KEEP_ALIVE_NS <= entry[0] <= start]
            if warm:
                taken = max(warm)
                pool.remove(taken)
                unit = taken[1]
            else:
                unit = self.fleet.add(self._environment(node.service, start))
                cold[index] = True
            units[index] = unit
            pool[:] = [entry for entry in pool if entry[0] >= start - KEEP_ALIVE_NS]
            pool.append((end, unit))
        return cold, units

    def _environment(self, key: str, at_ns: int) -> Unit:
        rng = self._rng[key]
        octets = rng.bytes(16).hex()
        workload = self.workloads[key]
        return Unit(
            workload=workload,
            name=f"{at_ns // 1_000_000_000}-[$LATEST]{octets}",
            uid=octets,
            address="",
            version="$LATEST",
            created_ns=at_ns,
            ready_ns=at_ns,
        )
