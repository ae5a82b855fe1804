"""The causal truth equals what an outsider computes from whole traces, following parents and links."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from lowtide.demo.truth import UNOWNED


@pytest.fixture(scope="module")
def whole(show: Any, estate: Any) -> Any:
    found = show(estate, days=0.25, whole_days=0.25, rate=0.2, metric_steps=((0.01, 60),))
    found.decode()
    return found


def _root(whole: Any, seen: Any) -> Any:
    while True:
        if seen.span.parent_span_id:
            seen = whole.by_identity[seen.span.trace_id, seen.span.parent_span_id]
        elif seen.span.links:
            link = seen.span.links[0]
            seen = whole.by_identity[link.trace_id, link.span_id]
        else:
            return seen


def _self_times(whole: Any) -> dict[bytes, int]:
    covered: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for seen in whole.spans:
        if seen.span.parent_span_id:
            covered[seen.span.parent_span_id].append(
                (seen.span.start_time_unix_nano, seen.span.end_time_unix_nano)
            )
    found = {}
    for seen in whole.spans:
        at, end, own = seen.span.start_time_unix_nano, seen.span.end_time_unix_nano, 0
        for begin, finish in sorted(covered[seen.span.span_id]):
            own += max(0, min(begin, end) - at)
            at = max(at, min(finish, end))
        found[seen.span.span_id] = own + max(0, end - at)
    return found


def test_shares_equal_self_time_by_application_of_the_root(whole: Any) -> None:
    own = _self_times(whole)
    work: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for seen in whole.spans:
        root = _root(whole, seen)
        if seen.proxy or seen.resource["deployment.environment.name"] != "production":
            continue
        application = root.resource.get("k8s.pod.label.app.kubernetes.io/part-of") or root.resource.get(
            "application", UNOWNED
        )
        if "db.system.name" in seen.attributes:
            worker = "postgres"
        elif seen.span.kind == 4:
            worker = "kafka"
        elif seen.span.kind in (1, 2, 5) and "faas.init_phase" not in seen.attributes:
            worker = seen.resource["service.name"]
        else:
            continue
        work[worker][application] += own[seen.span.span_id]
    shares = whole.player.shares.shares()
    assert {"auth", "postgres", "kafka"} <= set(shares)
    for key, expected in shares.items():
        total = sum(work[key].values())
        assert set(expected) == set(work[key])
        assert sum(expected.values()) == pytest.approx(1.0)
        for application, share in expected.items():
            assert work[key][application] / total == pytest.approx(share, abs=0.001)


def test_samples_are_scaled_to_what_really_came(show: Any, estate: Any) -> None:
    """Shares of the same hours from all traces and from the sample differ by its noise only."""
    sampled = show(estate, days=0.5, whole_days=0.0, metric_steps=((0.01, 60),)).player.shares
    whole = show(estate, days=0.5, whole_days=0.5, metric_steps=((0.01, 60),)).player.shares
    assert sampled.requests == whole.requests, "the population is the same"
    for application, share in whole.shares()["postgres"].items():
        assert sampled.shares()["postgres"][application] == pytest.approx(share, abs=0.03)
