"""Log records: tied to their spans, with levels, structured bodies, and one team that talks too much."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ingest.signals import Signal


def _records(showing: Any) -> Any:
    for request, message in zip(showing.requests, showing.decoded, strict=True):
        if request.signal is Signal.LOGS:
            for group in message.resource_logs:
                resource = {a.key: a.value.string_value for a in group.resource.attributes}
                for scope in group.scope_logs:
                    for record in scope.log_records:
                        yield resource, record


def test_records_with_a_trace_belong_to_a_span_that_was_sent(showing: Any) -> None:
    tied = 0
    for resource, record in _records(showing):
        if record.trace_id:
            span = showing.by_identity[record.trace_id, record.span_id]
            assert span.resource["service.name"] == resource["service.name"]
            assert span.resource["service.instance.id"] == resource["service.instance.id"]
            assert span.span.start_time_unix_nano <= record.time_unix_nano <= span.span.end_time_unix_nano
            assert record.observed_time_unix_nano > record.time_unix_nano
            tied += 1
    assert tied > 3000


def test_failures_are_logged_as_errors(showing: Any) -> None:
    errors = {
        (record.trace_id, record.span_id)
        for _, record in _records(showing)
        if record.severity_text == "ERROR"
    }
    failed = {
        seen.identity
        for seen in showing.spans
        if seen.span.status.code == 2 and seen.span.kind in (2, 5) and not seen.proxy
    }
    assert failed
    assert failed <= errors
    numbers = {(record.severity_text, record.severity_number) for _, record in _records(showing)}
    assert numbers == {("DEBUG", 5), ("INFO", 9), ("ERROR", 17), ("Normal", 9)}


def test_some_bodies_are_structured(showing: Any) -> None:
    kinds = Counter(record.body.WhichOneof("value") for _, record in _records(showing))
    assert kinds["kvlist_value"] > 100
    assert kinds["string_value"] > 100
    checkout = next(
        record
        for resource, record in _records(showing)
        if resource["service.name"] == "checkout-api" and record.body.WhichOneof("value") == "kvlist_value"
    )
    body = {pair.key: pair.value for pair in checkout.body.kvlist_value.values}
    assert body["order"].string_value.isdigit()
    assert [value.int_value for value in body["lines"].array_value.values] == [1, 2]
    assert body["paid"].bool_value is True


def test_one_team_talks_most(showing: Any) -> None:
    teams = Counter(resource.get("k8s.pod.label.team", "") for resource, _ in _records(showing))
    assert teams.most_common(1)[0][0] == "insights"
    assert teams["insights"] > sum(teams.values()) / 3
