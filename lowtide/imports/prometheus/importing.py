"""An import from its first slice to its last: plan, ask, send, note. `lowtide import prometheus` runs it.

What was sent is noted after it was acknowledged, so a kill in between leads to one piece that is sent again.
`held_already` leaves out of each piece what Lowtide has, and besides Lowtide recognises the same bytes for as
long as it remembers (`spool.resend_window_s`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from collector.remote_write.message import Described, Point, RequestWriter
from lowtide.imports.prometheus.errors import SourceError, StateError
from lowtide.imports.prometheus.plan import chunks_of, halves, next_slice
from lowtide.imports.prometheus.receiver import Taken
from lowtide.imports.prometheus.source import Answered, Labels
from lowtide.imports.prometheus.state import Chunk, Order, State

REQUEST_BYTES: Final = 8 * 1024 * 1024
REQUEST_SAMPLES: Final = 20_000
_EVERYTHING: Final = '{__name__!=""}'
_FOR_PROMETHEUS: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_SUFFIXES: Final = ("_total", "_bucket", "_sum", "_count", "_gsum", "_gcount", "_info", "_created")

Held = set[tuple[Labels, int]]
"""Samples, by labels and time in ms."""


class Asked(Protocol):
    """The Prometheus (`source.Source`)."""

    def series_by_name(self, selector: str, from_ms: int, to_ms: int) -> dict[str, int]:
        """How many series of each name have samples there."""

    def matching(self, selectors: Collection[str], from_ms: int, to_ms: int) -> set[Labels]:
        """The series that any of the selectors means."""

    def samples(self, names: Collection[str], from_ms: int, to_ms: int) -> Answered:
        """All samples of these names."""


class Told(Protocol):
    """Lowtide (`receiver.Receiver`)."""

    def send(self, body: bytes) -> Taken:
        """Store one request."""


@dataclass(slots=True)
class Import:
    """One run of an import."""

    state: State
    path: Path
    source: Asked
    receiver: Told
    names: frozenset[str]
    """Of metrics that are always imported."""
    held_already: Callable[[Chunk], Held]
    progress: Callable[[State], None] = lambda _: None
    reasons: list[str] = field(default_factory=list)
    """Why samples were refused, each once."""
    _wanted: set[Labels] | None = None
    """With --match: the series of this slice that are imported beside `names`."""

    def run(self) -> None:
        """Import what is left. Raises ImportStoppedError; the state then says how far it came."""
        state = self.state
        if state.chunks:
            self._want(min(chunk.from_ms for chunk in state.chunks), state.planned_to_ms)
        while not state.is_done:
            if not state.chunks:
                self._plan()
            elif not self._do(state.chunks[0]):
                continue
            self.progress(state)

    def _plan(self) -> None:
        """The next slice."""
        order, state = self.state.order, self.state
        begin, end = next_slice(state.planned_to_ms, order.until_ms)
        selector = _EVERYTHING if order.all_series else selector_of(self.names)
        series = self.source.series_by_name(selector, begin, end)
        self._want(begin, end)
        for labels in self._wanted or ():
            name = dict(labels).get("__name__", "")
            if name not in self.names:
                series[name] = series.get(name, 0) + 1
        state.chunks = chunks_of(series, begin, end)
        state.planned_to_ms = end
        state.save(self.path)

    def _want(self, begin: int, end: int) -> None:
        order = self.state.order
        if order.match and not order.all_series:
            self._wanted = self.source.matching(order.match, begin, end)

    def _do(self, chunk: Chunk) -> bool:
        """Import the first chunk; False if it was too much and is now several."""
        state = self.state
        try:
            found = self.source.samples(chunk.names, chunk.from_ms, chunk.to_ms)
        except SourceError as error:
            parts = halves(chunk)
            if not error.is_too_much or len(parts) == 1:
                raise
            state.chunks[:1] = parts
            state.save(self.path)
            return False
        for body, samples in self._requests(found, self.held_already(chunk)):
            taken = self.receiver.send(body)
            state.totals.samples += taken.written
            state.totals.refused += samples - taken.written
            if taken.reason and len(self.reasons) < 10:
                self.reasons.append(taken.reason)
        state.totals.histograms += found.histograms
        del state.chunks[0]
        state.save(self.path)
        return True

    def _requests(self, found: Answered, held: Held) -> Iterator[tuple[bytes, int]]:
        """Requests with what is wanted of an answer, and how many samples each has."""
        writer = RequestWriter()
        for labels, points in found.series:
            name = dict(labels).get("__name__", "")
            if self._wanted is not None and name not in self.names and labels not in self._wanted:
                continue
            described = self._described(name)
            missing = [point for point in points if (labels, point.time_ms) not in held] if held else points
            for part in _parts(missing):
                writer.add(labels, part, described)
                if writer.expected_bytes >= REQUEST_BYTES or writer.samples >= REQUEST_SAMPLES:
                    samples = writer.samples
                    yield writer.take(), samples
        if writer.samples:
            samples = writer.samples
            yield writer.take(), samples

    def _described(self, name: str) -> Described:
        """What the metric is, by its own name or by that of its family."""
        families = [name, *(name.removesuffix(end) for end in _SUFFIXES if name.endswith(end))]
        known = (self.state.described[family] for family in families if family in self.state.described)
        return Described(*next(known, ("unknown", "", "")))


def _parts(points: list[Point]) -> Iterator[list[Point]]:
    for begin in range(0, len(points), REQUEST_SAMPLES):
        yield points[begin : begin + REQUEST_SAMPLES]


def asked_names(known: Collection[str]) -> frozenset[str]:
    """Of the known names those that a Prometheus can have."""
    return frozenset(name for name in known if _FOR_PROMETHEUS.fullmatch(name))


def selector_of(names: Collection[str]) -> str:
    """A selector of series with one of these names, which need no escaping (`asked_names`)."""
    return f'{{__name__=~"{"|".join(sorted(names))}"}}'


def state_for(found: State | None, order: Order, described: Callable[[], dict[str, Described]]) -> State:
    """The state to go on with: the one that was found if it is of the same import, or a new one.

    An import that goes on keeps its own beginning and end, which were given relative to another moment. One
    that had come to its end goes on to the new one.
    Raises StateError if it is of another.
    """
    if found is None:
        texts = {name: (one.kind, one.help, one.unit) for name, one in described().items()}
        return State(order, texts, planned_to_ms=order.since_ms)
    before = found.order
    mine, other = ((one.url, one.match, one.all_series, one.receiver, one.tenant) for one in (order, before))
    if mine != other:
        what = ", ".join(before.match) or "what cost needs"
        raise StateError(
            f"The state is of another import, from {before.url} of {what} for the tenant {before.tenant}.",
            hint="Name another file with --state.",
        )
    if found.is_done:
        found.order = replace(before, until_ms=max(before.until_ms, order.until_ms))
    return found
