"""What the kubelets, the cluster and the hosts report: usage that follows the traffic, requests, limits,
replicas.

Used by the player, block by block in order of time (network counters run on). Shapes are those of the
Collector's kubeletstats, k8s_cluster and hostmetrics receivers. The trap: a pod's points exist only while
the pod does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lowtide.demo.arrivals import DAY_NS, MINUTE_NS
from lowtide.demo.draw import stream
from lowtide.demo.estate import Estate
from lowtide.demo.fleet import Fleet
from lowtide.demo.load import Beat, Load
from lowtide.demo.manifest import Manifest
from lowtide.demo.packing import Request
from lowtide.demo.points import CLUSTER, HOST, KUBELET, Instrument, MetricPack, series
from lowtide.demo.resources import Resources, encoded, machine
from lowtide.demo.wire import Flags, Floats, Integers
from lowtide.demo.workloads import (
    SIDECAR_CPU_LIMIT_M,
    SIDECAR_CPU_M,
    SIDECAR_MEMORY_LIMIT_MIB,
    SIDECAR_MEMORY_MIB,
    MachineNode,
    Unit,
    Workload,
)

MIB = 1 << 20
GIB = 1 << 30
PAGE = 4096
CPU_STEP = 2.0**-16
SIDECAR_FLOOR_CORES = 0.003
SIDECAR_CORE_S_PER_HOP = 0.0002
SIDECAR_FLOOR_MIB = 52.0
BYTES_IN_PER_CALL = 2200.0
BYTES_OUT_PER_CALL = 6400.0
FLOOR_BYTES_PER_S = 220.0
SYSTEM_CORES = 0.11
SYSTEM_GIB = 0.9
STATE_EVERY_MINUTES = 5

CPU_USAGE = Instrument("container.cpu.usage", "{cpu}")
MEMORY_USAGE = Instrument("container.memory.working_set", "By")
CPU_REQUEST = Instrument("k8s.container.cpu.request", "{cpu}")
CPU_LIMIT = Instrument("k8s.container.cpu.limit", "{cpu}")
MEMORY_REQUEST = Instrument("k8s.container.memory.request", "By")
MEMORY_LIMIT = Instrument("k8s.container.memory.limit", "By")
NETWORK = Instrument("k8s.pod.network.io", "By", is_sum=True)
NODE_STATE = {
    "k8s.node.cpu.allocatable": "{cpu}",
    "k8s.node.cpu.capacity": "{cpu}",
    "k8s.node.memory.allocatable": "By",
    "k8s.node.memory.capacity": "By",
}
NODE_CPU = Instrument("k8s.node.cpu.usage", "{cpu}")
NODE_MEMORY = Instrument("k8s.node.memory.working_set", "By")


@dataclass(slots=True)
class _Pods:
    """Pods of a block and when each was there, (pods, times)."""

    units: list[Unit]
    there: Flags
    working: Flags
    shares: Floats
    """Share of its service's work that each pod takes at each time."""


class UsageWriter:
    """Writes usage metrics; remembers network counters."""

    def __init__(
        self,
        estate: Estate,
        fleet: Fleet,
        resources: Resources,
        manifest: Manifest,
        seed: int,
        points_each: int,
    ) -> None:
        self.estate = estate
        self.fleet = fleet
        self.resources = resources
        self.manifest = manifest
        self.seed = seed
        self.pack = MetricPack(points_each)
        self._counters: dict[tuple[int, str], float] = {}

    def write(self, beat: Beat, load: Load) -> Iterator[Request]:
        """All metrics of these moments."""
        rng = stream(self.seed, "usage", int(beat.times_ns[0]) // MINUTE_NS)
        pods = self._pods(beat.times_ns)
        cores, bytes_used = self._applications(pods, beat, load, rng)
        proxy_cores, proxy_bytes = self._sidecars(pods, beat, load, rng)
        for row, unit in enumerate(pods.units):
            workload = unit.workload
            self._container(unit, workload.name, beat, pods.there[row], cores[row], bytes_used[row])
            if workload.service.sidecar:
                self._container(
                    unit, "istio-proxy", beat, pods.there[row], proxy_cores[row], proxy_bytes[row]
                )
            self._network(unit, beat, pods, row, load)
            yield from self.pack.cut()
        self._nodes(pods, beat, cores + proxy_cores, bytes_used + proxy_bytes, rng)
        self._replicas(pods, beat)
        self._machines(beat, load, rng)
        yield from self.pack.cut(all_of_it=True)

    def _pods(self, times_ns: Integers) -> _Pods:
        first, last = int(times_ns[0]), int(times_ns[-1])
        units = [pod for pod in self.fleet.pods if pod.created_ns <= last and pod.ended_ns > first]
        created = np.asarray([unit.created_ns for unit in units], dtype=np.int64)[:, None]
        ready = np.asarray([unit.ready_ns for unit in units], dtype=np.int64)[:, None]
        ended = np.asarray([unit.ended_ns for unit in units], dtype=np.int64)[:, None]
        there: Flags = (created <= times_ns) & (times_ns < ended)
        seen: Flags = np.any(there, axis=1)
        kept = [unit for unit, is_seen in zip(units, seen.tolist(), strict=True) if is_seen]
        working = ((ready <= times_ns) & (times_ns < ended))[seen]
        return _Pods(kept, there[seen], working, _shares(kept, working))

    def _applications(
        self, pods: _Pods, beat: Beat, load: Load, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        shape = pods.there.shape
        floors = np.asarray([unit.workload.floor_cpu_m for unit in pods.units])[:, None] / 1000.0
        memory = np.asarray([unit.workload.floor_memory_mib for unit in pods.units])[:, None]
        requested = np.asarray([unit.workload.service.cpu_m for unit in pods.units])[:, None] / 1000.0
        ceiling = np.asarray([unit.workload.memory_limit_mib for unit in pods.units])[:, None] * 0.93
        by_key = {
            key: load.mean("cores", key, beat.times_ns, beat.step_minutes)
            for key in {unit.workload.key for unit in pods.units}
        }
        work = np.stack([by_key[unit.workload.key] for unit in pods.units]) * pods.shares
        cores = floors * np.exp(0.12 * rng.standard_normal(shape)) + work * np.exp(
            0.07 * rng.standard_normal(shape)
        )
        ages = (beat.times_ns - np.asarray([unit.created_ns for unit in pods.units])[:, None]) / DAY_NS
        grown = memory * (1.0 + 0.08 * (1.0 - np.exp(-ages / 3.0)) + 0.015 * rng.standard_normal(shape))
        busy = 0.25 * memory * np.minimum(work / requested, 2.0)
        used = np.minimum(grown + busy, ceiling) * MIB
        return np.ceil(cores / CPU_STEP) * CPU_STEP * pods.there, np.ceil(used / PAGE) * PAGE * pods.there

    def _sidecars(
        self, pods: _Pods, beat: Beat, load: Load, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        cores = np.zeros(pods.there.shape)
        used = np.zeros(pods.there.shape)
        for row, unit in enumerate(pods.units):
            if unit.workload.service.sidecar:
                hops = (
                    load.mean("hops", unit.workload.key, beat.times_ns, beat.step_minutes) * pods.shares[row]
                )
                noise = np.exp(0.1 * rng.standard_normal(len(beat.times_ns)))
                cores[row] = (SIDECAR_FLOOR_CORES + hops / 60.0 * SIDECAR_CORE_S_PER_HOP) * noise
                used[row] = (SIDECAR_FLOOR_MIB + 6.0 * noise) * MIB
        return np.ceil(cores / CPU_STEP) * CPU_STEP * pods.there, np.ceil(used / PAGE) * PAGE * pods.there

    def _container(
        self, unit: Unit, container: str, beat: Beat, there: Flags, cores: Floats, bytes_used: Floats
    ) -> None:
        times = beat.times_ns[there]
        if container == "istio-proxy":
            limits: tuple[float, float | None, int, int] = (
                SIDECAR_CPU_M, SIDECAR_CPU_LIMIT_M, SIDECAR_MEMORY_MIB, SIDECAR_MEMORY_LIMIT_MIB
            )  # fmt: skip
        else:
            workload = unit.workload
            limits = (
                workload.service.cpu_m, workload.service.cpu_limit_m,
                workload.memory_mib, workload.memory_limit_mib,
            )  # fmt: skip
        cpu, cpu_limit, memory, memory_limit = limits
        state = [
            CPU_REQUEST.metric(_level(times, cpu / 1000.0)),
            MEMORY_REQUEST.metric(_level(times, memory * MIB)),
            MEMORY_LIMIT.metric(_level(times, memory_limit * MIB)),
        ]
        if cpu_limit is not None:
            state.append(CPU_LIMIT.metric(_level(times, cpu_limit / 1000.0)))
        usage = [
            CPU_USAGE.metric(series(times, cores[there])),
            MEMORY_USAGE.metric(series(times, bytes_used[there].astype(np.int64))),
        ]
        resource = self.resources.container(unit, container)
        self._add(
            unit.workload.key,
            resource,
            {KUBELET: usage, CLUSTER: state},
            len(times) * (2 + len(state)),
            times,
        )

    def _add(
        self, key: str, resource: bytes, scopes: Mapping[bytes, list[bytes]], points: int, times: Integers
    ) -> None:
        if points:
            self.pack.add(resource, scopes, points, int(times[-1]))
            self.manifest.points(key, points)

    def _network(self, unit: Unit, beat: Beat, pods: _Pods, row: int, load: Load) -> None:
        there = pods.there[row]
        times = beat.times_ns[there]
        if len(times):
            share = pods.shares[row][there]
            self._traffic(unit, times, share, beat.step_minutes, load, self.resources.pod(unit))

    def _traffic(
        self, unit: Unit, times: Integers, share: Floats, step_minutes: int, load: Load, resource: bytes
    ) -> None:
        key = unit.workload.key
        calls = load.mean("calls", key, times, step_minutes) * share / 60.0
        extra = load.egress_bytes_per_s.get(key, 0.0) * share
        points = []
        for direction, each, more in (
            ("receive", BYTES_IN_PER_CALL, extra * 0.2),
            ("transmit", BYTES_OUT_PER_CALL, extra),
        ):
            per_s = FLOOR_BYTES_PER_S + calls * each + more
            before = self._counters.get((unit.index, direction))
            if before is None:
                before = FLOOR_BYTES_PER_S * max(0.0, (int(times[0]) - unit.created_ns) / 1e9)
            counter = before + np.cumsum(per_s * step_minutes * 60.0)
            self._counters[unit.index, direction] = float(counter[-1])
            points.append(
                series(
                    times,
                    counter.astype(np.int64),
                    start_ns=unit.created_ns,
                    labels={"network.io.direction": direction},
                )
            )
        name = NETWORK if unit.workload.in_cluster else Instrument("system.network.io", "By", is_sum=True)
        scope = KUBELET if unit.workload.in_cluster else HOST
        self._add(key, resource, {scope: [name.metric(b"".join(points))]}, 2 * len(times), times)

    def _nodes(self, pods: _Pods, beat: Beat, cores: Floats, used: Floats, rng: np.random.Generator) -> None:
        for node in self.fleet.nodes:
            rows = [row for row, unit in enumerate(pods.units) if unit.node is node]
            noise = np.exp(0.05 * rng.standard_normal(len(beat.times_ns)))
            cpu = np.ceil((cores[rows].sum(axis=0) + SYSTEM_CORES * noise) / CPU_STEP) * CPU_STEP
            memory = (used[rows].sum(axis=0) + SYSTEM_GIB * GIB * noise).astype(np.int64) // PAGE * PAGE
            usage = [
                NODE_CPU.metric(series(beat.times_ns, cpu)),
                NODE_MEMORY.metric(series(beat.times_ns, memory)),
            ]
            levels = node_levels(node)
            state = [
                Instrument(name, unit).metric(_level(beat.times_ns, levels[name]))
                for name, unit in NODE_STATE.items()
            ]
            count = len(beat.times_ns) * (2 + len(state))
            self._add(
                f"node {node.name}", machine(node), {KUBELET: usage, CLUSTER: state}, count, beat.times_ns
            )

    def _replicas(self, pods: _Pods, beat: Beat) -> None:
        """Desired and available pods of Deployments and StatefulSets, every five minutes."""
        chosen = (beat.times_ns // MINUTE_NS) % STATE_EVERY_MINUTES == 0
        times = beat.times_ns[chosen]
        for workload in self.fleet.workloads:
            kind = workload.service.kind
            if kind not in ("deployment", "statefulset") or not len(times):
                continue
            rows = [row for row, unit in enumerate(pods.units) if unit.workload is workload]
            available = pods.working[rows].sum(axis=0)[chosen].astype(np.int64)
            desired = self._desired(workload, rows, pods, chosen)
            metrics = [
                Instrument(f"k8s.{kind}.pod.desired", "{pod}").metric(series(times, desired)),
                Instrument(
                    f"k8s.{kind}.pod.{'available' if kind == 'deployment' else 'ready'}", "{pod}"
                ).metric(series(times, available)),
            ]
            self._add(
                workload.key, self.resources.workload(workload), {CLUSTER: metrics}, 2 * len(times), times
            )

    def _desired(self, workload: Workload, rows: list[int], pods: _Pods, chosen: Flags) -> Integers:
        """What is there, without the extra pod of a rolling update."""
        there: Integers = pods.there[rows].sum(axis=0)[chosen].astype(np.int64)
        hpa = workload.service.replicas.hpa
        if hpa is not None:
            clipped: Integers = np.clip(there, hpa.min, hpa.max)
            return clipped
        counts = workload.service.replicas
        most = (
            workload.revision.replicas
            if workload.revision
            else max(counts.count, counts.since_promotion or 0)
        )
        wanted: Integers = np.minimum(there, most)
        return wanted

    def _machines(self, beat: Beat, load: Load, rng: np.random.Generator) -> None:
        for unit in self.fleet.units:
            workload = unit.workload
            if workload.service.kind == "vm":
                self._machine(unit, beat, load, rng)

    def _machine(self, unit: Unit, beat: Beat, load: Load, rng: np.random.Generator) -> None:
        workload, times = unit.workload, beat.times_ns
        shape = self.estate.instance_types[workload.service.host or ""]
        noise = np.exp(0.1 * rng.standard_normal(len(times)))
        work = load.mean("cores", workload.key, times, beat.step_minutes) + workload.floor_cpu_m / 1000.0
        busy = np.minimum(work * noise / shape.cpu + 0.006, 1.0)
        before = self._counters.get((unit.index, "cpu"), 40_000.0)
        cpu_time = before + np.cumsum(work * noise * beat.step_minutes * 60.0)
        self._counters[unit.index, "cpu"] = float(cpu_time[-1])
        memory = (workload.floor_memory_mib * MIB * (1.02 + 0.02 * noise)).astype(np.int64) // PAGE * PAGE
        host = [
            Instrument("system.cpu.logical.count", "{cpu}").metric(_level(times, shape.cpu)),
            Instrument("system.memory.limit", "By").metric(_level(times, shape.memory_gib * GIB)),
            Instrument("system.cpu.utilization", "1").metric(
                series(times, busy * 0.8, labels={"cpu.mode": "user"})
                + series(times, busy * 0.2, labels={"cpu.mode": "system"})
                + series(times, 1.0 - busy, labels={"cpu.mode": "idle"})
            ),
            Instrument("process.cpu.time", "s", is_sum=True).metric(
                series(times, cpu_time, start_ns=unit.created_ns, labels={"cpu.mode": "user"})
            ),
            Instrument("process.memory.usage", "By", is_sum=True, monotonic=False).metric(
                series(times, memory, start_ns=unit.created_ns)
            ),
        ]
        resource = encoded(self.resources.unit_attributes(unit))
        self._add(workload.key, resource, {HOST: host}, 7 * len(times), times)
        self._traffic(unit, times, np.ones(len(times)), beat.step_minutes, load, resource)


def _shares(units: list[Unit], working: Flags) -> Floats:
    names: dict[tuple[str, str], list[int]] = {}
    for row, unit in enumerate(units):
        names.setdefault((unit.workload.key, unit.workload.name), []).append(row)
    shares = np.zeros(working.shape)
    for rows in names.values():
        ready = np.maximum(working[rows].sum(axis=0), 1)
        shares[rows] = working[rows] * units[rows[0]].workload.request_share / ready
    return shares


def node_levels(node: MachineNode) -> dict[str, float | int]:
    """Capacity and allocatable of a node, in cores and bytes."""
    return {
        "k8s.node.cpu.allocatable": node.allocatable_cpu,
        "k8s.node.cpu.capacity": float(node.cpu),
        "k8s.node.memory.allocatable": round(node.allocatable_memory_gib * GIB),
        "k8s.node.memory.capacity": node.memory_gib * GIB,
    }


def _level(times_ns: Integers, value: float) -> bytes:
    """A series that stays the same; an int stays an int."""
    if isinstance(value, int):
        return series(times_ns, np.full(len(times_ns), value, dtype=np.int64))
    return series(times_ns, np.full(len(times_ns), value, dtype=np.float64))
