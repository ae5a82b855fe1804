"""The showing: nine weeks of history as a stream of requests, then real time. Used by the command and the
tests.

History is made slice by slice, oldest first; each slice's spans, log records and metrics are finished
before the next begins, so memory stays bounded. The trap: everything draws from named random streams, so
the order of sending never changes a byte.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ingest.signals import Signal
from lowtide.demo.arrivals import DAY_NS, MINUTE_NS, Arrivals, Calendar
from lowtide.demo.coldmetrics import ColdStartMetrics
from lowtide.demo.draw import stream
from lowtide.demo.load import Beat, Load, beats
from lowtide.demo.manifest import Manifest
from lowtide.demo.packing import Pack, Request
from lowtide.demo.settings import DemoSettings
from lowtide.demo.stage import Stage, load_of, population
from lowtide.demo.starts import StartWriter
from lowtide.demo.traces import TraceWriter, scope_field
from lowtide.demo.truth import TRUTH_DAYS, CausalShares
from lowtide.demo.usage import UsageWriter

WHOLE_SLICE_NS = DAY_NS // 4
SAMPLED_SLICE_NS = 7 * DAY_NS
LIVE_TICK_NS = 5 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of the history that is made at once."""

    start_ns: int
    end_ns: int
    whole: bool
    """Every trace, or the sampled ones."""


def slices(start_ns: int, now_ns: int, whole_days: float) -> list[Slice]:
    """The history cut into slices, oldest first. Minutes are never cut; the truth window begins on an
    edge."""
    whole_from = max(start_ns, now_ns - round(whole_days * 1440) * MINUTE_NS)
    edges = {start_ns, now_ns, whole_from}
    truth_from = now_ns - TRUTH_DAYS * DAY_NS
    if start_ns < truth_from:
        edges.add(truth_from)
    edges.update(range(now_ns, whole_from, -WHOLE_SLICE_NS))
    edges.update(range(min(whole_from, truth_from), start_ns, -SAMPLED_SLICE_NS))
    ordered = sorted(edge for edge in edges if start_ns <= edge <= now_ns)
    return [Slice(a, b, a >= whole_from) for a, b in pairwise(ordered)]


class DaysPlayed:
    """How many days of a history were reached, for people: by the latest request so far, since those of a
    slice come one kind after the other, each from the slice's beginning.
    """

    def __init__(self, settings: DemoSettings) -> None:
        self._settings = settings
        self._reached_ns = settings.start_ns

    def saw(self, request: Request) -> float:
        """The days, now that this request is there."""
        settings = self._settings
        self._reached_ns = max(self._reached_ns, min(request.due_ns, settings.now_ns))
        return (self._reached_ns - settings.start_ns) / DAY_NS


class Player:
    """One showing of a stage. Requests must be taken in order, once."""

    def __init__(self, stage: Stage, manifest: Manifest) -> None:
        self.stage = stage
        self.manifest = manifest
        self.shares = CausalShares(stage.estate)
        self.spans = Pack(Signal.TRACES, self._head)
        self.logs = Pack(Signal.LOGS, self._head)
        self.cold_starts = ColdStartMetrics(stage.estate, manifest)
        self.traces = TraceWriter(
            stage.estate, stage.fleet, stage.pools, manifest, self.cold_starts, self.spans, self.logs
        )
        self.usage = UsageWriter(
            stage.estate,
            stage.fleet,
            stage.resources,
            manifest,
            stage.settings.seed,
            stage.settings.points_per_request,
        )
        self.starts = StartWriter(stage.estate, stage.fleet, stage.resources, manifest)

    def _head(self, unit: int, scope: int) -> tuple[bytes, bytes]:
        scoped = scope_field(scope)
        return self.stage.resources.of_unit(self.stage.fleet.units[unit], proxy=not scoped), scoped

    def history(self) -> Iterator[Request]:
        """Every request of the history, oldest slice first."""
        stage = self.stage
        arrivals = population(stage, stage.calendar)
        load = load_of(stage, stage.calendar, arrivals)
        settings = stage.settings
        for part in slices(settings.start_ns, settings.now_ns, settings.whole_days):
            self._write_traces(part, arrivals)
            yield from self.spans.requests(settings.spans_per_request)
            yield from self.logs.requests(settings.spans_per_request)
            yield from self._other_metrics(part)
            for beat in beats(part.start_ns, part.end_ns, settings.now_ns, settings.metric_steps):
                yield from self.usage.write(beat, load)
            stage.resources.forget()

    def _write_traces(self, part: Slice, arrivals: dict[str, Arrivals], *, finished: bool = True) -> None:
        settings = self.stage.settings
        for name, plan in self.stage.plans.items():
            keep = 1 if part.whole else self.stage.estate.operations[name].keep_one_in
            rng = stream(settings.seed, "traces", name, part.start_ns // MINUTE_NS)
            times, came = arrivals[name].between(part.start_ns, part.end_ns, keep, rng)
            told = self.traces.write(
                plan, times, rng,
                base_ns=part.start_ns, keep_one_in=keep, not_after_ns=settings.now_ns if finished else None,
            )  # fmt: skip
            if finished and part.start_ns >= settings.now_ns - TRUTH_DAYS * DAY_NS:
                self.shares.saw(plan, told.own_ms, told.kept, came)

    def _other_metrics(self, part: Slice) -> Iterator[Request]:
        yield from self.starts.write(part.start_ns, part.end_ns)
        yield from self.cold_starts.write(part.start_ns, part.end_ns)

    def live(
        self, *, clock_ns: Callable[[], int] = time.time_ns, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[Request]:
        """Requests after the history, each when its time has come; ends where the planned pods end."""
        pending: list[tuple[int, int, Request]] = []
        number = 0
        start = self.stage.settings.now_ns
        while start < self.stage.live_until_ns:
            end = start + self.stage.settings.live_block_s * 1_000_000_000
            for request in self._block(Slice(start, end, True)):
                number += 1
                heapq.heappush(pending, (request.due_ns, number, request))
            while pending and pending[0][0] < end:
                due, _, request = heapq.heappop(pending)
                wait_s = (due - clock_ns()) / 1e9
                if wait_s > 0:
                    sleep(wait_s)
                yield request
            start = end
            self.stage.resources.forget()

    def _block(self, part: Slice) -> Iterator[Request]:
        stage = self.stage
        minutes = (part.end_ns - part.start_ns) // MINUTE_NS
        calendar = Calendar(part.start_ns, minutes, stage.settings.now_ns, stage.estate)
        arrivals = population(stage, calendar)
        load: Load = load_of(stage, calendar, arrivals)
        self._write_traces(part, arrivals, finished=False)
        yield from self.spans.requests(stage.settings.spans_per_request, LIVE_TICK_NS)
        yield from self.logs.requests(stage.settings.spans_per_request, LIVE_TICK_NS)
        yield from self._other_metrics(part)
        for beat in beats(part.start_ns, part.end_ns, part.end_ns, ((1.0, 1),)):
            for at in range(len(beat.times_ns)):
                yield from self.usage.write(Beat(beat.times_ns[at : at + 1], 1), load)
