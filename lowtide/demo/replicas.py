"""How many pods each workload has and which pods they are: autoscaler, promotion, releases, jobs. No
placement yet.

Used by the fleet. The autoscaler sees the expected traffic, as a long average would, with the tolerance
and the down-stabilisation of the Kubernetes HPA. The trap: a release replaces every pod, so pods are
short-lived even where the number of replicas never changes.
"""

from __future__ import annotations

import math
from datetime import time, timedelta

import numpy as np

from lowtide.demo.arrivals import DAY_NS, MINUTE_NS, Calendar
from lowtide.demo.draw import stream
from lowtide.demo.estate import Hpa, Start
from lowtide.demo.wire import Floats
from lowtide.demo.workloads import FOREVER_NS, StartParts, Unit, Workload

HPA_STEP_MINUTES = 5
HPA_TOLERANCE = 0.1
JOB_LASTS_S = 780
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
SECOND_NS = 1_000_000_000


def hpa_replicas(hpa: Hpa, demand_m: Floats, request_m: float, floor_m: float) -> list[tuple[int, int]]:
    """(minute, replicas) changes for a demand in millicores per minute. Scale-down waits one step of 5
    minutes."""
    wanted_each = request_m * hpa.target
    current = hpa.min
    changes = []
    before = hpa.max
    for minute in range(0, len(demand_m), HPA_STEP_MINUTES):
        used = float(demand_m[minute : minute + HPA_STEP_MINUTES].mean()) + floor_m * current
        ratio = used / (wanted_each * current)
        desired = current if abs(ratio - 1.0) <= HPA_TOLERANCE else math.ceil(ratio * current)
        desired = min(hpa.max, max(hpa.min, desired))
        settled = desired if desired > current else min(current, max(desired, before))
        before = desired
        if settled != current or minute == 0:
            current = settled
            changes.append((minute, current))
    return changes


class PodMaker:
    """Names and start times of one workload's pods, in order of creation."""

    def __init__(self, workload: Workload, seed: int) -> None:
        self.workload = workload
        self.rng = stream(seed, "pods", workload.key, workload.name)
        self.release = int(self.rng.integers(3, 40))
        self.replica_set = self._letters(10)

    def _letters(self, count: int) -> str:
        return "".join(LETTERS[int(i)] for i in self.rng.integers(0, len(LETTERS), count))

    def next_release(self) -> None:
        """From now on pods carry a new version and replica set."""
        self.release += 1
        self.replica_set = self._letters(10)

    @property
    def version(self) -> str:
        """`service.version` of the pods made now."""
        revision = self.workload.revision
        return f"{revision.name}.{self.release}" if revision else f"2.{self.release}.0"

    def parts(self, start: Start) -> StartParts:
        """Start times drawn around the service's medians."""
        draws = np.exp(start.spread * self.rng.standard_normal(4))
        return StartParts(
            round(start.schedule_s * float(draws[0]), 3),
            round(start.pull_s * float(draws[1]), 3),
            round(start.sidecar_s * float(draws[2]), 3) if self.workload.service.sidecar else 0.0,
            round(start.init_s * float(draws[3]), 3),
        )

    def pod(self, created_ns: int, number: int = 0) -> Unit:
        """A new pod."""
        kind, name = self.workload.service.kind, self.workload.name
        replica_set = ""
        if kind == "deployment":
            replica_set = f"{name}-{self.replica_set}"
            pod_name = f"{replica_set}-{self._letters(5)}"
        elif kind == "statefulset":
            pod_name = f"{name}-{number}"
        elif kind == "cronjob":
            replica_set = f"{name}-{created_ns // MINUTE_NS}"
            pod_name = f"{replica_set}-{self._letters(5)}"
        else:
            pod_name = f"{name}-{self._letters(5)}"
        parts = self.parts(self.workload.service.start)
        octets = self.rng.bytes(16).hex()
        uid = f"{octets[:8]}-{octets[8:12]}-4{octets[13:16]}-a{octets[17:20]}-{octets[20:32]}"
        return Unit(
            workload=self.workload,
            name=pod_name,
            uid=uid,
            address="",
            version=self.version,
            created_ns=created_ns,
            ready_ns=created_ns + int(parts.total_s * SECOND_NS),
            replica_set=replica_set,
            start=parts,
        )


def pods_of(workload: Workload, calendar: Calendar, demand_m: Floats, seed: int) -> list[Unit]:
    """All pods of a Deployment or StatefulSet that live within the calendar, oldest first."""
    maker = PodMaker(workload, seed)
    events = [(at, "scale", count) for at, count in _scale_events(workload, calendar, demand_m)]
    events += [(at, "release", 0) for at in _release_times(workload, calendar, seed)]
    events.sort()
    age_ns = int(maker.rng.uniform(1.0, 9.0) * DAY_NS)
    live: list[Unit] = []
    made: list[Unit] = []
    for at, what, count in events:
        if what == "release":
            _roll(maker, live, made, at)
            continue
        while len(live) < count:
            created = calendar.start_ns - age_ns if at == calendar.start_ns else at
            live.append(maker.pod(created, len(live)))
            made.append(live[-1])
        while len(live) > count:
            live.sort(key=lambda pod: pod.created_ns)
            gone = live.pop()
            gone.ended_ns = max(at, gone.ready_ns + 5 * SECOND_NS)
    return made


def _scale_events(workload: Workload, calendar: Calendar, demand_m: Floats) -> list[tuple[int, int]]:
    replicas = workload.service.replicas
    if replicas.hpa is not None:
        changes = hpa_replicas(replicas.hpa, demand_m, workload.service.cpu_m, workload.floor_cpu_m)
        return [(calendar.start_ns + minute * MINUTE_NS, count) for minute, count in changes]
    count = workload.revision.replicas if workload.revision else replicas.count
    events = [(calendar.start_ns, count)]
    if replicas.since_promotion is not None:
        began = calendar.start_ns + calendar.promotion[0] * MINUTE_NS - 3 * 3600 * SECOND_NS
        if began <= calendar.start_ns:
            return [(calendar.start_ns, replicas.since_promotion)]
        events.append((began, replicas.since_promotion))
    return events


def _release_times(workload: Workload, calendar: Calendar, seed: int) -> list[int]:
    """Working hours of working days, about every `release_every_days`; never for stateful sets and old
    revisions."""
    service = workload.service
    if (
        service.kind != "deployment"
        or workload.request_share == 0.0
        or service.app in ("platform", "data-platform")
    ):
        return []
    rng = stream(seed, "releases", workload.key, workload.name)
    end_ns = calendar.start_ns + calendar.minutes * MINUTE_NS
    times = []
    day = float(rng.uniform(0.3, 1.0)) * service.release_every_days
    days = calendar.local_days()
    while day < len(days):
        at = days[int(day)] + timedelta(hours=float(rng.uniform(9.0, 17.5)))
        if at.weekday() < 5:
            moment = int(at.timestamp()) * SECOND_NS
            if calendar.start_ns < moment < end_ns:
                times.append(moment)
        else:
            day += 1.0
            continue
        day += service.release_every_days * float(rng.uniform(0.8, 1.2))
    return times


def _roll(maker: PodMaker, live: list[Unit], made: list[Unit], at: int) -> None:
    """A rolling update: one new pod, ready, then one old pod gone; and so on."""
    maker.next_release()
    for place, old in enumerate(list(live)):
        new = maker.pod(max(at, old.ready_ns), place)
        old.ended_ns = new.ready_ns + 10 * SECOND_NS
        live[place] = new
        made.append(new)
        at = old.ended_ns


def job_pods(workload: Workload, calendar: Calendar, seed: int) -> list[Unit]:
    """One pod a day, from the schedule's minute until the job is done."""
    maker = PodMaker(workload, seed)
    at = time.fromisoformat(workload.service.schedule or "00:00")
    pods = []
    for day in calendar.local_days():
        created = int(day.replace(hour=at.hour, minute=at.minute).timestamp()) * SECOND_NS
        if calendar.start_ns <= created < calendar.start_ns + calendar.minutes * MINUTE_NS:
            pods.append(maker.pod(created))
            pods[-1].ended_ns = created + JOB_LASTS_S * SECOND_NS
    return pods


def daemon_pods(workload: Workload, calendar: Calendar, seed: int, nodes: int) -> list[Unit]:
    """One pod a node, as old as the node."""
    maker = PodMaker(workload, seed)
    pods = [maker.pod(calendar.start_ns - 40 * DAY_NS, number) for number in range(nodes)]
    for pod in pods:
        pod.ended_ns = FOREVER_NS
    return pods
