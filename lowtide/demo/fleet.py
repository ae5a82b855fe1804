"""Every instance of the estate over the whole calendar, on its node, and who takes a request at a given
moment.

Used by the span, log and metric writers. Pods are placed in order of creation, as a scheduler would: zones
spread, requests within the node's allocatable. The trap: function environments are added while traces are
made, so the list of units grows; indices never change.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from lowtide.demo.arrivals import DAY_NS, Calendar
from lowtide.demo.draw import stream
from lowtide.demo.replicas import daemon_pods, job_pods, pods_of
from lowtide.demo.wire import Flags, Floats, Integers
from lowtide.demo.workloads import MachineNode, Unit, Workload, nodes_of, workloads_of


class NoRoomError(Exception):
    """The estate asks for more than its nodes can give: an error in estate.yaml."""


class Directory:
    """Which units of a service were ready when; zones first, as topology-aware routing does."""

    def __init__(self, units: list[Unit], zones: list[str]) -> None:
        self.slots = len(zones)
        opening: dict[int, list[Unit]] = defaultdict(list)
        closing: dict[int, list[Unit]] = defaultdict(list)
        for unit in units:
            opening[unit.ready_ns].append(unit)
            closing[unit.ended_ns].append(unit)
        self.edges = np.asarray(sorted({*opening, *closing}), dtype=np.int64)
        per_slot: list[list[list[int]]] = []
        ready: dict[int, Unit] = {}
        for edge in self.edges.tolist():
            for unit in opening[edge]:
                ready[unit.index] = unit
            for unit in closing[edge]:
                ready.pop(unit.index, None)
            per_slot.append(self._slots_of(list(ready.values()), zones))
        widest = max((len(slot) for slots in per_slot for slot in slots), default=1) or 1
        self.table = np.zeros((len(per_slot), 2 * self.slots + 1, widest), dtype=np.int64)
        self.sizes = np.zeros((len(per_slot), 2 * self.slots + 1), dtype=np.int64)
        for segment, slots in enumerate(per_slot):
            for slot, members in enumerate(slots):
                self.table[segment, slot, : len(members)] = members
                self.sizes[segment, slot] = len(members)

    def _slots_of(self, ready: list[Unit], zones: list[str]) -> list[list[int]]:
        """Units of each zone, units outside each zone, all units; an empty one falls back to all."""
        everyone = [unit.index for unit in ready]
        by_zone = [[u.index for u in ready if u.node is not None and u.node.zone == zone] for zone in zones]
        outside = [[index for index in everyone if index not in mine] for mine in by_zone]
        return [slot or everyone for slot in (*by_zone, *outside, everyone)]

    def choose(self, at_ns: Integers, slots: Integers, luck: Floats) -> Integers:
        """A unit for each moment: `slots` say where to look, `luck` in [0, 1) which of them."""
        segment = np.clip(np.searchsorted(self.edges, at_ns, side="right") - 1, 0, None)
        sizes = self.sizes[segment, slots]
        for _ in range(2):  # between two jobs nobody is ready: the next one took it
            segment = np.where((sizes == 0) & (segment + 1 < len(self.edges)), segment + 1, segment)
            sizes = self.sizes[segment, slots]
        return self.table[segment, slots, (luck * np.maximum(sizes, 1)).astype(np.int64)]


class Fleet:
    """All units, nodes and directories."""

    def __init__(self, calendar: Calendar, demand_m: Mapping[str, Floats], seed: int) -> None:
        self.calendar = calendar
        self.seed = seed
        self.workloads = workloads_of(calendar.estate)
        self.nodes = nodes_of(calendar.estate)
        self.zones = sorted({node.zone for node in self.nodes})
        self.units: list[Unit] = []
        self.pods: list[Unit] = []
        self._by_service: dict[str, list[Unit]] = defaultdict(list)
        self._directories: dict[tuple[str, str], Directory] = {}
        self._zone_of = np.zeros(0, dtype=np.int64)
        for unit in sorted(self._planned(demand_m), key=lambda unit: (unit.created_ns, unit.name)):
            self.add(unit)
        self._place()

    def _planned(self, demand_m: Mapping[str, Floats]) -> list[Unit]:
        planned: list[Unit] = []
        silent = np.zeros(self.calendar.minutes)
        for workload in self.workloads:
            kind = workload.service.kind
            if kind == "vm":
                planned.append(self._machine(workload))
            elif kind == "cronjob":
                planned += job_pods(workload, self.calendar, self.seed)
            elif kind == "daemonset":
                planned += daemon_pods(workload, self.calendar, self.seed, len(self.nodes))
            elif kind != "function":
                planned += pods_of(workload, self.calendar, demand_m.get(workload.key, silent), self.seed)
        return planned

    def _machine(self, workload: Workload) -> Unit:
        rng = stream(self.seed, "vm", workload.key)
        return Unit(
            workload=workload,
            name=f"vm-{workload.name}-01",
            uid=f"i-0{rng.bytes(8).hex()}",
            address="",
            version="5.2.1",
            created_ns=self.calendar.start_ns - 200 * DAY_NS,
            ready_ns=self.calendar.start_ns - 200 * DAY_NS,
        )

    def add(self, unit: Unit) -> int:
        """Register a unit; returns its index. Addresses have octets of three digits, so that they fit a
        template."""
        unit.index = len(self.units)
        network = self.calendar.estate.clusters[unit.workload.service.cluster].network
        unit.address = f"10.{network}.{100 + unit.index // 150 % 150}.{100 + unit.index % 150}"
        self.units.append(unit)
        self._by_service[unit.workload.key].append(unit)
        if unit.workload.in_cluster:
            self.pods.append(unit)
        return unit.index

    def _place(self) -> None:
        daemons: dict[str, int] = defaultdict(int)
        free = {
            node.name: [node.allocatable_cpu * 1000, node.allocatable_memory_gib * 1024]
            for node in self.nodes
        }
        here: dict[str, dict[str, int]] = {node.name: defaultdict(int) for node in self.nodes}
        ends: list[tuple[int, int]] = []
        for pod in sorted(self.pods, key=lambda pod: pod.workload.service.kind != "daemonset"):
            while ends and ends[0][0] <= pod.created_ns:
                gone = self.units[heapq.heappop(ends)[1]]
                assert gone.node is not None  # noqa: S101 - only placed pods are on the heap
                free[gone.node.name][0] += gone.workload.pod_cpu_m
                free[gone.node.name][1] += gone.workload.pod_memory_mib
                here[gone.node.name][_group(gone)] -= 1
            if pod.workload.service.kind == "daemonset":
                node = self.nodes[daemons[pod.workload.key]]
                daemons[pod.workload.key] += 1
            else:
                node = self._best_node(pod, free, here)
            pod.node = node
            free[node.name][0] -= pod.workload.pod_cpu_m
            free[node.name][1] -= pod.workload.pod_memory_mib
            here[node.name][_group(pod)] += 1
            heapq.heappush(ends, (pod.ended_ns, pod.index))

    def _best_node(
        self, pod: Unit, free: dict[str, list[float]], here: dict[str, dict[str, int]]
    ) -> MachineNode:
        workload = pod.workload
        fitting = [
            node
            for node in self.nodes
            if node.cluster == workload.service.cluster
            and (not workload.service.zones or node.zone in workload.service.zones)
            and free[node.name][0] >= workload.pod_cpu_m
            and free[node.name][1] >= workload.pod_memory_mib
        ]
        if not fitting:
            raise NoRoomError(f"no node of {workload.service.cluster} has room for {pod.name}")
        in_zone: dict[str, int] = defaultdict(int)
        for node in self.nodes:
            in_zone[node.zone] += here[node.name][_group(pod)]

        def rank(node: MachineNode) -> tuple[float, ...]:
            free_cpu = free[node.name][0] / (node.allocatable_cpu * 1000)
            free_memory = free[node.name][1] / (node.allocatable_memory_gib * 1024)
            return (in_zone[node.zone], here[node.name][_group(pod)], -min(free_cpu, free_memory))

        return min(fitting, key=rank)

    def assign(
        self,
        key: str,
        at_ns: Integers,
        rng: np.random.Generator,
        *,
        callers: Integers | None = None,
        far: bool = False,
    ) -> Integers:
        """The unit of service `key` that takes each request. `callers`: units that call, -1 where from
        outside."""
        everyone = 2 * len(self.zones)
        if callers is None:
            slots = np.full(len(at_ns), everyone, dtype=np.int64)
        else:
            zone = np.where(callers < 0, len(self.zones), self._zones_of_units()[callers])
            slots = np.where(zone < len(self.zones), zone + (len(self.zones) if far else 0), everyone)
        luck = rng.random(len(at_ns))
        names = self._names(key)
        if len(names) == 1:
            return self._directory(key, names[0][0]).choose(at_ns, slots, luck)
        revision = np.searchsorted(
            np.cumsum([share for _, share in names]), rng.random(len(at_ns)), side="right"
        )
        chosen = np.zeros(len(at_ns), dtype=np.int64)
        for number, (name, _) in enumerate(names):
            mine: Flags = np.minimum(revision, len(names) - 1) == number
            chosen[mine] = self._directory(key, name).choose(at_ns[mine], slots[mine], luck[mine])
        return chosen

    def _zones_of_units(self) -> Integers:
        """Zone number per unit, one past the last where there is none; made anew when units were added."""
        if len(self._zone_of) != len(self.units):
            nowhere = len(self.zones)
            numbers = [self.zones.index(unit.node.zone) if unit.node else nowhere for unit in self.units]
            self._zone_of = np.asarray(numbers, dtype=np.int64)
        return self._zone_of

    def _names(self, key: str) -> list[tuple[str, float]]:
        return [(w.name, w.request_share) for w in self.workloads if w.key == key and w.request_share > 0]

    def _directory(self, key: str, name: str) -> Directory:
        found = self._directories.get((key, name))
        if found is None:
            found = Directory(
                [unit for unit in self._by_service[key] if unit.workload.name == name], self.zones
            )
            self._directories[key, name] = found
        return found


def _group(pod: Unit) -> str:
    """What is spread over zones: the pods of one replica set, so that no release unbalances the next."""
    return pod.replica_set or pod.workload.name
