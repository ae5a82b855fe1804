"""The questions to a Prometheus, and answers that it should not give. What a real one answers is in
tests/serve/test_import_prometheus.py."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lowtide.imports.prometheus.errors import SourceError
from lowtide.imports.prometheus.source import Source
from support.scraping import Exposed, Page, expose

Make = Callable[..., Source]


def answer(result: Any) -> Page:
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return Page(json.dumps(body).encode(), "application/json")


@pytest.fixture
def exposed() -> Iterator[Exposed]:
    with expose(answer([])) as target:
        yield target


@pytest.fixture
def source(exposed: Exposed) -> Iterator[Make]:
    made: list[Source] = []

    def make(**given: Any) -> Source:
        slept: list[float] = []
        options = {"rate": 1000.0, "give_up_after_s": 5.0, "sleep": slept.append} | given
        made.append(Source(f"http://{exposed.address}", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_samples_are_those_behind_the_beginning_up_to_the_end(exposed: Exposed, source: Make) -> None:
    """Prometheus 2 has the beginning in its answer, 3 has not."""
    exposed.page = answer([
        {
            "metric": {"__name__": "b"},
            "values": [[1000, "1"], [1000.001, "NaN"], [1060, "+Inf"], [1060.001, "4"]],
        },
        {
            "metric": {"__name__": "a", "x": "y"},
            "values": [[1030.5, "-0.1"]], "histograms": [[1030, {}], [1031, {}]],
        },
        {"metric": {"__name__": "c"}, "histograms": [[1030, {}]]},
    ])  # fmt: skip
    found = source().samples(("a", "b", "c"), 1_000_000, 1_060_000)
    assert [labels for labels, _ in found.series] == [(("__name__", "a"), ("x", "y")), (("__name__", "b"),)]
    first, second = found.series[1][1]
    assert (first.time_ms, second.time_ms, second.value) == (1_000_001, 1_060_000, math.inf)
    assert math.isnan(first.value)
    assert (found.samples, found.histograms) == (3, 3)
    ((path, _),) = exposed.asked
    assert path == "/api/v1/query?query=%7B__name__%3D~%22a%7Cb%7Cc%22%7D%5B60000ms%5D&time=1060.000"


def test_what_passes_is_asked_again(exposed: Exposed, source: Make) -> None:
    pages = iter([Page(b"busy", status=503), Page(b"slow", status=429), answer([])])

    def in_turn(handler: Any) -> None:
        page = next(pages)
        handler.send_response(page.status)
        handler.send_header("content-length", str(len(page.body)))
        handler.end_headers()
        handler.wfile.write(page.body)

    exposed.page = Page(answer=in_turn)
    told: list[str] = []
    assert source(tell=told.append).samples(("a",), 0, 60_000).series == []
    assert len(exposed.asked) == 3
    assert [line.partition(" answered ")[2] for line in told] == ["503: busy; trying again for up to 5 s."]


@pytest.mark.parametrize(
    ("page", "why", "is_too_much"),
    [
        (Page(b'{"error":"bad selector"}', status=400), "answered 400: .*bad selector", False),
        (Page(b"who?", status=401), "answered 401", False),
        (Page(b"no such page", status=404), "answered 404", False),
        (Page(b'{"error":"too many samples"}', status=422), "answered 422", True),
        (Page(status=302, headers={"location": "http://127.0.0.2:1/"}), "answered 302", False),
        (Page(b"<html>"), "no Prometheus", False),
        (Page(b'{"data": []}'), "no Prometheus", False),
        (Page(b'{"data": {"result": [{"metric": {}, "values": [["x", 1]]}]}}'), "no Prometheus", False),
    ],
)
def test_what_does_not_pass_is_said_once(
    exposed: Exposed, source: Make, page: Page, why: str, is_too_much: bool
) -> None:
    exposed.page = page
    with pytest.raises(SourceError, match=why) as caught:
        source(token="geheim").samples(("a",), 0, 60_000)  # noqa: S106 - nobody's
    assert caught.value.is_too_much is is_too_much
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    assert len(exposed.asked) == 1


def test_an_answer_may_be_too_large(exposed: Exposed, source: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowtide.imports.prometheus.source.MAX_ANSWER_BYTES", 10)
    with pytest.raises(SourceError, match="too large") as caught:
        source().samples(("a",), 0, 60_000)
    assert caught.value.is_too_much


def test_nobody_is_asked_more_often_than_allowed(exposed: Exposed, source: Make) -> None:
    slept: list[float] = []
    one = source(rate=0.1, sleep=slept.append)
    for _ in range(3):
        one.samples(("a",), 0, 60_000)
    assert slept[0] == pytest.approx(10, abs=2)
    assert slept[1] == pytest.approx(20, abs=2), "nobody really slept"
