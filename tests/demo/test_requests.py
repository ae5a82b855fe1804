"""What goes over the wire: readable, complete, marked, of one day, and the same again for the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals import Signal
from lowtide.demo.estate import Estate, service_name

DAY_NS = 86_400 * 10**9


def _digest(requests: list[Any]) -> str:
    whole = hashlib.sha256()
    for request in requests:
        whole.update(request.signal.value.encode() + request.body)
    return whole.hexdigest()


def _items(signal: Signal, message: Any) -> int:
    if signal is Signal.TRACES:
        return sum(len(s.spans) for g in message.resource_spans for s in g.scope_spans)
    if signal is Signal.LOGS:
        return sum(len(s.log_records) for g in message.resource_logs for s in g.scope_logs)
    return sum(
        len(getattr(m, m.WhichOneof("data")).data_points)
        for g in message.resource_metrics
        for s in g.scope_metrics
        for m in s.metrics
    )


def test_every_request_says_truly_how_many_records_it_holds(showing: Any) -> None:
    for request, message in zip(showing.requests, showing.decoded, strict=True):
        assert request.items == _items(request.signal, message) > 0


def test_the_manifest_counts_what_was_sent(showing: Any) -> None:
    sent: Counter[Signal] = Counter()
    for request in showing.requests:
        sent[request.signal] += request.items
    assert {signal: showing.manifest.total(signal) for signal in Signal} == sent
    by_service = Counter(
        (seen.resource["service.name"], seen.resource["deployment.environment.name"])
        for seen in showing.spans
    )
    told: Counter[tuple[str, str]] = Counter()
    for key, count in showing.manifest.as_plain()["traces"].items():
        told[service_name(key), showing.stage.estate.services[key].environment] += count
    assert told == by_service


def test_requests_stay_far_below_the_receivers_limit(showing: Any) -> None:
    assert max(len(request.body) for request in showing.requests) < 4 * 1024 * 1024


def test_a_trace_or_log_request_never_crosses_midnight(showing: Any) -> None:
    for request, message in zip(showing.requests, showing.decoded, strict=True):
        if request.signal is Signal.TRACES:
            days = {
                s.start_time_unix_nano // DAY_NS
                for g in message.resource_spans
                for scope in g.scope_spans
                for s in scope.spans
            }
            assert len(days) == 1


def test_everything_is_marked_as_the_demos(showing: Any) -> None:
    for message in showing.decoded:
        for groups in ("resource_spans", "resource_logs", "resource_metrics"):
            for group in getattr(message, groups, []):
                marks = [a.value.string_value for a in group.resource.attributes if a.key == "lowtide.demo"]
                assert marks == ["true"]


def test_no_resource_names_an_attribute_twice(showing: Any) -> None:
    for message in showing.decoded:
        for groups in ("resource_spans", "resource_logs", "resource_metrics"):
            for group in getattr(message, groups, []):
                keys = [a.key for a in group.resource.attributes]
                assert len(keys) == len(set(keys))


def test_nothing_lies_outside_the_history(showing: Any) -> None:
    start, now = showing.stage.settings.start_ns, showing.stage.settings.now_ns
    for seen in showing.spans:
        assert seen.span.start_time_unix_nano <= seen.span.end_time_unix_nano <= now
        if "faas.init_phase" not in seen.attributes:
            assert seen.span.start_time_unix_nano >= start
    for _, metric in showing.metrics():
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            assert start <= point.time_unix_nano <= now
    for message in showing.decoded:
        for group in getattr(message, "resource_logs", []):
            for scope in group.scope_logs:
                assert all(start - 60 * 10**9 <= r.time_unix_nano <= now for r in scope.log_records)


def test_span_identities_are_unique(showing: Any) -> None:
    assert len(showing.by_identity) == len(showing.spans)
    assert all(len(seen.span.span_id) == 8 and len(seen.span.trace_id) == 16 for seen in showing.spans)


@settings(max_examples=3)
@given(seed=st.integers(0, 2**31))
def test_same_seed_same_bytes_other_seed_other_bytes(show: Any, estate: Estate, seed: int) -> None:
    first, again, other = (
        show(estate, days=0.02, whole_days=0.01, seed=s, metric_steps=((1.0, 10),))
        for s in (seed, seed, seed + 1)
    )
    assert _digest(first.requests) == _digest(again.requests)
    assert _digest(first.requests) != _digest(other.requests)


@pytest.mark.parametrize("days", [0.5, 1.25])
def test_a_longer_history_ends_with_the_same_pods(show: Any, estate: Estate, days: float) -> None:
    """Pods are planned once: what is announced for the end does not depend on going live afterwards."""
    found = show(estate, days=days, whole_days=0.01, rate=0.02, metric_steps=((0.01, 60),))
    live = [
        pod for pod in found.stage.fleet.pods if pod.created_ns <= found.stage.settings.now_ns < pod.ended_ns
    ]
    assert 110 <= len(live) <= 150
