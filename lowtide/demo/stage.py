"""The estate set up for one showing: plans, curves, pods, and what everything costs. Made once by the player.

The trap: pods are planned beyond the end of the history, so that a live showing goes on without a seam;
the horizon is the same whether or not anybody goes live, or the bytes would differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowtide.demo.arrivals import DAY_NS, MINUTE_NS, Arrivals, Calendar, arrivals_of, rate_per_minute
from lowtide.demo.calls import Plan, unfold
from lowtide.demo.estate import Estate, Operation
from lowtide.demo.fleet import Fleet
from lowtide.demo.functions import FunctionPools
from lowtide.demo.load import Load
from lowtide.demo.resources import Resources
from lowtide.demo.settings import DemoSettings
from lowtide.demo.wire import Floats
from lowtide.demo.work import Work, demand_m, measured

HORIZON_DAYS = 30
"""Days after the history for which pods are planned: as long as a live showing can last."""


@dataclass(frozen=True)
class Stage:
    """Everything that does not change while the demo plays."""

    settings: DemoSettings
    estate: Estate
    plans: dict[str, Plan]
    work: Work
    calendar: Calendar
    """The history only."""
    fleet: Fleet
    pools: FunctionPools
    resources: Resources

    @property
    def live_until_ns(self) -> int:
        """Where the planned pods end."""
        return self.settings.now_ns + HORIZON_DAYS * DAY_NS


def set_up(estate: Estate, settings: DemoSettings) -> Stage:
    """Plan a showing. Raises fleet.NoRoomError if the estate does not fit its nodes."""
    plans = {name: unfold(estate, name) for name in estate.operations}
    work = measured(estate, plans, {name: usual_peak_per_minute(o) for name, o in estate.operations.items()})
    minutes = (settings.now_ns - settings.start_ns) // MINUTE_NS
    calendar = Calendar(settings.start_ns, minutes, settings.now_ns, estate)
    ahead = Calendar(settings.start_ns, minutes + HORIZON_DAYS * 1440, settings.now_ns, estate)
    fleet = Fleet(ahead, _autoscaled_demand(estate, work, ahead, settings), settings.seed)
    return Stage(
        settings, estate, plans, work, calendar, fleet,
        FunctionPools(fleet, settings.seed), Resources(estate, work.objectives_ms),
    )  # fmt: skip


def usual_peak_per_minute(operation: Operation) -> float:
    """Rough weight of an operation: requests a minute at its busiest, or on average where it has no curve."""
    if operation.peak_per_s is not None:
        return operation.peak_per_s * 60.0
    if operation.batches is not None:
        return len(operation.batches.hours) * operation.batches.size / 1440.0
    if operation.every_s is not None:
        return 60.0 / operation.every_s
    return (operation.per_day or 1.0) / 1440.0


def _autoscaled_demand(
    estate: Estate, work: Work, ahead: Calendar, settings: DemoSettings
) -> dict[str, Floats]:
    """Expected millicores per minute of the services that an autoscaler follows."""
    scaled = {key for key, service in estate.services.items() if service.replicas.hpa is not None}
    rates = {
        name: rate_per_minute(ahead, name, settings.seed, settings.rate)
        for name in estate.operations
        if scaled & work.own_ms[name].keys()
    }
    own = {name: {key: ms for key, ms in work.own_ms[name].items() if key in scaled} for name in rates}
    return demand_m(estate, own, rates)


def population(stage: Stage, calendar: Calendar) -> dict[str, Arrivals]:
    """What really comes in, by operation."""
    seed, rate = stage.settings.seed, stage.settings.rate
    return {name: arrivals_of(calendar, name, seed, rate) for name in stage.estate.operations}


def load_of(stage: Stage, calendar: Calendar, arrivals: dict[str, Arrivals]) -> Load:
    """What these arrivals make everybody do, minute by minute."""
    estate, work = stage.estate, stage.work
    counts = {name: found.counts.astype(np.float64) for name, found in arrivals.items()}
    cores = {key: burnt / 1000.0 for key, burnt in demand_m(estate, work.own_ms, counts).items()}
    egress = {}
    for key, service in estate.services.items():
        if service.load is not None:
            extra = calendar.curve(service.load.shape) * service.load.cores
            cores[key] = cores[key] + extra if key in cores else extra
            egress[key] = service.load.egress_bytes_per_s
    return Load(calendar.start_ns, cores, _summed(counts, work.calls), _summed(counts, work.hops), egress)


def _summed(counts: dict[str, Floats], each: dict[str, dict[str, float]]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for name, requests in counts.items():
        for key, number in each[name].items():
            found[key] = found[key] + requests * number if key in found else requests * number
    return found
