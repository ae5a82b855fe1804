"""Real time after the history: on time, without a gap, without a repeat."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.signals import Signal
from lowtide.demo.player import DaysPlayed, slices

MINUTE_NS = 60 * 10**9
DAY_NS = 1440 * MINUTE_NS


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_ns += round(seconds * 1e9)


@pytest.fixture(scope="module")
def played(show: Any, estate: Any) -> tuple[Any, list[tuple[int, Any]]]:
    showing = show(estate, days=0.02, whole_days=0.02, metric_steps=((1.0, 5),))
    now = showing.stage.settings.now_ns
    clock = Clock(now)
    sent = []
    for request in showing.player.live(clock_ns=lambda: clock.now_ns, sleep=clock.sleep):
        if request.due_ns > now + 25 * MINUTE_NS:
            break
        sent.append((clock.now_ns, request))
    return showing, sent


def test_nothing_is_sent_before_it_has_ended(played: Any) -> None:
    showing, sent = played
    assert len(sent) > 100
    for at, request in sent:
        assert at >= request.due_ns - 1000
        if request.signal is Signal.TRACES:
            message = ExportTraceServiceRequest.FromString(request.body)
            ends = [
                s.end_time_unix_nano for g in message.resource_spans for c in g.scope_spans for s in c.spans
            ]
            assert max(ends) == request.due_ns
            assert max(ends) - min(ends) < 5 * 10**9 + 1
    assert [request.due_ns for _, request in sent] == sorted(request.due_ns for _, request in sent)
    assert sent[0][1].due_ns >= showing.stage.settings.now_ns


def test_live_goes_on_where_the_history_ended(played: Any) -> None:
    showing, sent = played
    history = {
        (s.trace_id, s.span_id)
        for request in showing.requests
        if request.signal is Signal.TRACES
        for g in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for c in g.scope_spans
        for s in c.spans
    }
    live = [
        (s.trace_id, s.span_id)
        for _, request in sent
        if request.signal is Signal.TRACES
        for g in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for c in g.scope_spans
        for s in c.spans
    ]
    assert len(set(live)) == len(live)
    assert not history & set(live)


def test_every_minute_has_its_metrics(played: Any) -> None:
    showing, sent = played
    now = showing.stage.settings.now_ns
    minutes = set()
    for _, request in sent:
        if request.signal is Signal.METRICS:
            message = ExportMetricsServiceRequest.FromString(request.body)
            for group in message.resource_metrics:
                for scope in group.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == "container.cpu.usage":
                            minutes |= {
                                (p.time_unix_nano - now) // MINUTE_NS for p in metric.gauge.data_points
                            }
    assert set(range(25)) <= minutes


@pytest.mark.parametrize(
    ("days", "whole_days"), [(63, 2), (63, 0), (10, 2), (5, 7), (1.3, 0.4), (0.01, 2), (7, 7)]
)
def test_slices_cover_the_history_once(days: float, whole_days: float) -> None:
    now = 1_790_000_000 // 60 * MINUTE_NS
    start = now - round(days * 1440) * MINUTE_NS
    found = slices(start, now, whole_days)
    assert found[0].start_ns == start
    assert found[-1].end_ns == now
    for before, after in pairwise(found):
        assert before.end_ns == after.start_ns
        assert before.whole <= after.whole
    whole = sum(part.end_ns - part.start_ns for part in found if part.whole)
    assert whole == min(days, whole_days) * DAY_NS // MINUTE_NS * MINUTE_NS
    assert all(part.start_ns % MINUTE_NS == 0 for part in found)
    truth_from = now - 7 * DAY_NS
    assert start >= truth_from or truth_from in {part.start_ns for part in found}


def test_the_days_that_are_told_only_grow(showing: Any) -> None:
    settings = showing.stage.settings
    played = DaysPlayed(settings)
    days = [played.saw(request) for request in showing.requests]
    due = [request.due_ns for request in showing.requests]
    assert due != sorted(due), "else there is nothing to show"
    assert days == sorted(days)
    assert 0 <= days[0] < days[-1] <= settings.days
    assert days[-1] == pytest.approx(settings.days, abs=0.01)
