"""An import over stand-ins for both sides: what is asked when, and what is noted."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from collector.remote_write.message import Described, Point
from lowtide.imports.prometheus.errors import ReceiverError, SourceError, StateError
from lowtide.imports.prometheus.importing import Import, state_for
from lowtide.imports.prometheus.plan import SLICE_MS
from lowtide.imports.prometheus.receiver import Taken
from lowtide.imports.prometheus.source import Answered, Labels
from lowtide.imports.prometheus.state import Order, State, held, read_state
from support.scraping import read_requests

ORDER = Order("http://p:9090", 0, 2 * SLICE_MS)


class Source:
    """Has a sample a minute of `a` and of each series of `b`."""

    def __init__(self, series: int = 2, most: int = 10**9) -> None:
        self.series = [(("__name__", "a"), ("job", "j"))]
        self.series += [(("__name__", "b"), ("job", "j"), ("n", str(number))) for number in range(series)]
        self.most = most

    def series_by_name(self, selector: str, from_ms: int, to_ms: int) -> dict[str, int]:
        names = [dict(labels)["__name__"] for labels in self.series]
        asked = {name for name in names if '!=""' in selector or name in selector.split('"')[1].split("|")}
        return {name: names.count(name) for name in asked}

    def matching(self, selectors: Collection[str], from_ms: int, to_ms: int) -> set[Labels]:
        return {self.series[-1]}

    def samples(self, names: Collection[str], from_ms: int, to_ms: int) -> Answered:
        found = Answered()
        for labels in self.series:
            if dict(labels)["__name__"] in names:
                first = from_ms // 60_000 + 1
                points = [Point(at * 60_000, 1.0) for at in range(first, to_ms // 60_000 + 1)]
                found.series.append((labels, points))
                found.samples += len(points)
        if found.samples > self.most:
            raise SourceError("too many samples", is_too_much=True)
        return found


class Receiver:
    def __init__(self, fails_at: int = -1) -> None:
        self.bodies: list[bytes] = []
        self.fails_at = fails_at

    def send(self, body: bytes) -> Taken:
        if len(self.bodies) == self.fails_at:
            raise ReceiverError("no")
        self.bodies.append(body)
        return Taken(sum(len(series.samples) for _, series, _ in read_requests([body])))

    def samples(self) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = {}
        for labels, series, _ in read_requests(self.bodies):
            found.setdefault(labels, []).extend(sample.timestamp for sample in series.samples)
        return found


def work(path: Path, source: Source, receiver: Receiver, order: Order = ORDER) -> Import:
    described = {"a": Described("counter", "What.", "s")}
    state = state_for(read_state(path), order, lambda: described)
    return Import(state, path, source, receiver, frozenset({"a"}), lambda _: set())


MINUTES = [at * 60_000 for at in range(1, 2 * SLICE_MS // 60_000 + 1)]


def test_only_what_is_needed_is_imported(tmp_path: Path) -> None:
    receiver = Receiver()
    work(tmp_path / "state", Source(), receiver).run()
    assert receiver.samples() == {(("__name__", "a"), ("job", "j")): MINUTES}
    ((_, series, symbols), *_) = read_requests(receiver.bodies)
    assert (series.metadata.type, symbols[series.metadata.help_ref], symbols[series.metadata.unit_ref]) == (
        1, "What.", "s",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "series"),
    [
        (Order("http://p:9090", 0, 2 * SLICE_MS, ('{n="1"}',)), {("a", None), ("b", "1")}),
        (Order("http://p:9090", 0, 2 * SLICE_MS, (), True), {("a", None), ("b", "0"), ("b", "1")}),
    ],
)
def test_more_may_be_asked_for(tmp_path: Path, order: Order, series: set[Any]) -> None:
    receiver = Receiver()
    work(tmp_path / "state", Source(), receiver, order).run()
    found = receiver.samples()
    assert {(dict(labels)["__name__"], dict(labels).get("n")) for labels in found} == series
    assert all(times == MINUTES for times in found.values())


def test_what_is_too_much_is_asked_for_in_pieces(tmp_path: Path) -> None:
    receiver = Receiver()
    importing = work(tmp_path / "state", Source(most=50), receiver)
    importing.run()
    assert receiver.samples() == {(("__name__", "a"), ("job", "j")): MINUTES}
    with pytest.raises(SourceError, match="too many"):
        work(tmp_path / "other", Source(most=0), Receiver()).run()


@pytest.mark.parametrize("fails_at", [0, 1, 2, 5])
def test_it_goes_on_where_it_stopped(tmp_path: Path, fails_at: int) -> None:
    path = tmp_path / "state"
    order = Order("http://p:9090", 0, 2 * SLICE_MS, (), True)
    first, second = Receiver(fails_at), Receiver()
    source = Source(series=100)
    with pytest.raises(ReceiverError):
        work(path, source, first, order).run()
    assert len(first.bodies) == fails_at
    going_on = work(path, source, second, order)
    going_on.run()
    # Of the piece at which it stopped the same bytes come again, which Lowtide recognises.
    again = [body for body in second.bodies if body in first.bodies]
    assert first.bodies[len(first.bodies) - len(again) :] == again
    both = Receiver()
    both.bodies = first.bodies + [body for body in second.bodies if body not in first.bodies]
    assert {labels: sorted(times) for labels, times in both.samples().items()} == dict.fromkeys(
        source.series, MINUTES
    )
    assert going_on.state.is_done


def test_what_is_held_already_is_left_out(tmp_path: Path) -> None:
    receiver = Receiver()
    importing = work(tmp_path / "state", Source(), receiver)
    labels = (("__name__", "a"), ("job", "j"))
    importing.held_already = lambda _: {(labels, at) for at in MINUTES[3:]}
    importing.run()
    assert receiver.samples() == {labels: MINUTES[:3]}


def test_an_import_at_its_end_goes_on_to_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    work(path, Source(), Receiver()).run()
    receiver = Receiver()
    later = Order("http://p:9090", SLICE_MS, 3 * SLICE_MS)
    importing = work(path, Source(), receiver, later)
    importing.run()
    assert importing.state.order.since_ms == 0
    (times,) = receiver.samples().values()
    assert (times[0], times[-1]) == (2 * SLICE_MS + 60_000, 3 * SLICE_MS)


def test_the_state_of_another_import_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    work(path, Source(), Receiver()).run()
    with pytest.raises(StateError, match="from http://p:9090 of what cost needs"):
        work(path, Source(), Receiver(), Order("http://q:9090", 0, SLICE_MS))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1, "order": 3}'])
def test_a_file_that_is_no_state(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(StateError, match="no state of an import"):
        read_state(path)


def test_the_state_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "state"
    importing = work(path, Source(), Receiver(0), Order("http://p:9090", 5, 7 * SLICE_MS, ("x", "y")))
    with pytest.raises(ReceiverError):
        importing.run()
    assert read_state(path) == importing.state
    assert json.loads(path.read_text())["format"] == 1
    assert isinstance(importing.state, State)


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with held(path), pytest.raises(StateError, match="Another process"), held(path):
        pass
    with held(path):
        pass
