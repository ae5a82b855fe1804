"""`activity_1s` against a computation span by span and second by second."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals import Signal
from ingest.store.engine import Session

SECOND_NS = 1_000_000_000
DAY_S = 86_400
# A midnight some days ago: spans of seconds run over it too, and nothing is old enough to be dropped.
MIDNIGHT_NS = (int(time.time()) // DAY_S - 5) * DAY_S * SECOND_NS

READ = """
SELECT
    toUnixTimestamp(second) AS s, sum(requests) AS requests, sum(starts) AS starts, sum(start_ns) AS start_ns,
    sum(ends) AS ends, sum(end_ns) AS end_ns, sum(errors) AS errors, sum(busy_ns) AS busy_ns,
    sum(carried) AS carried, sum(cold_starts) AS cold_starts, sumMap(durations) AS durations
FROM activity_1s
WHERE tenant = {tenant:String}
GROUP BY s
ORDER BY s
"""


def spans_around_midnight() -> st.SearchStrategy[list[tuple[int, int, bool]]]:
    """(start, end, is error): short ones, ones of hours, ones over several midnights; whole seconds too."""
    starts = st.one_of(
        st.integers(MIDNIGHT_NS - 5 * SECOND_NS, MIDNIGHT_NS + 5 * SECOND_NS),
        st.integers(-40, 40).map(lambda second: MIDNIGHT_NS + second * SECOND_NS),
        st.integers(MIDNIGHT_NS - 2 * DAY_S * SECOND_NS, MIDNIGHT_NS + DAY_S * SECOND_NS),
    )
    lengths = st.one_of(
        st.integers(0, 3 * SECOND_NS),
        st.integers(0, 10).map(lambda second: second * SECOND_NS),
        st.integers(0, 50 * 3600 * SECOND_NS),
    )
    return st.lists(
        st.tuples(starts, lengths, st.booleans()).map(lambda each: (each[0], each[0] + each[1], each[2])),
        min_size=1,
        max_size=25,
    )


def concurrency(rows: Sequence[dict[str, Any]], seconds: Sequence[int]) -> dict[int, int]:
    """The rule of the table's comment: the integral of concurrency of each second, in ns."""
    by_second = {row["s"]: row for row in rows}
    found = {}
    for second in seconds:
        midnight = second // DAY_S * DAY_S
        running = sum(row["starts"] - row["ends"] for row in rows if midnight <= row["s"] < second) + sum(
            row["carried"] for row in rows if midnight <= row["s"] <= second
        )
        here = by_second.get(second)
        partial = 0 if here is None else (
            here["starts"] * SECOND_NS - here["start_ns"] - here["ends"] * SECOND_NS + here["end_ns"]
        )  # fmt: skip
        found[second] = running * SECOND_NS + partial
    return found


def brute_force(spans: Sequence[tuple[int, int, bool]], seconds: Sequence[int]) -> dict[int, int]:
    return {
        second: sum(
            max(0, min(end, (second + 1) * SECOND_NS) - max(start, second * SECOND_NS))
            for start, end, _ in spans
        )
        for second in seconds
    }


@settings(max_examples=8)
@given(spans=spans_around_midnight(), cuts=st.integers(1, 4))
def test_concurrency_is_that_of_the_spans(
    session: Session, insert: Callable[..., None], made: Any, traces: Any,
    spans: list[tuple[int, int, bool]], cuts: int,
) -> None:  # fmt: skip
    tenant = f"tenant-{uuid4().hex}"
    for cut in range(cuts):
        part = [made(start, end, error=error) for start, end, error in spans[cut::cuts]]
        if part:
            insert(Signal.TRACES, traces(part), tenant=tenant)

    rows = session.frame(READ, {"tenant": tenant}).to_dicts()

    changes = sorted({moment // SECOND_NS for start, end, _ in spans for moment in (start, end)})
    days = {second // DAY_S * DAY_S for second in changes}
    seconds = sorted({each + step for each in {*changes, *days} for step in (-1, 0, 1, 2)})
    assert concurrency(rows, seconds) == brute_force(spans, seconds)


@settings(max_examples=8)
@given(spans=spans_around_midnight())
def test_every_column_is_its_own_sum(
    session: Session, insert: Callable[..., None], made: Any, traces: Any, spans: list[tuple[int, int, bool]]
) -> None:
    tenant = f"tenant-{uuid4().hex}"
    insert(
        Signal.TRACES, traces([made(start, end, error=error) for start, end, error in spans]), tenant=tenant
    )

    rows = {row["s"]: row for row in session.frame(READ, {"tenant": tenant}).to_dicts()}

    expected: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for start, end, error in spans:
        first, last = expected[start // SECOND_NS], expected[end // SECOND_NS]
        first["starts"] += 1
        first["requests"] += 1
        first["start_ns"] += start % SECOND_NS
        last["ends"] += 1
        last["end_ns"] += end % SECOND_NS
        last["errors"] += error
        last["busy_ns"] += end - start
        for midnight in range((start // SECOND_NS // DAY_S + 1) * DAY_S, end // SECOND_NS + 1, DAY_S):
            expected[midnight]["carried"] += 1
    assert rows.keys() == expected.keys()
    for second, sums in expected.items():
        for column in ("requests", "starts", "start_ns", "ends", "end_ns", "errors", "busy_ns", "carried"):
            assert rows[second][column] == sums[column], (second, column)
        assert sum(entry["value"] for entry in _entries(rows[second]["durations"])) == sums["ends"]


def _entries(durations: Any) -> list[dict[str, int]]:
    if isinstance(durations, dict):
        return [{"key": key, "value": value} for key, value in durations.items()]
    return list(durations or [])


@pytest.mark.parametrize(
    ("duration_ns", "index"), [(0, 0), (1, 0), (2, 15), (3, 25), (4, 31), (1_000_000, 318), (2**40, 639)]
)
def test_durations_are_buckets_of_an_exponential_histogram(
    session: Session,
    insert: Callable[..., None],
    tenant: str,
    made: Any,
    traces: Any,
    duration_ns: int,
    index: int,
) -> None:
    """Index i covers (2^(i/16), 2^((i+1)/16)] ns."""
    insert(Signal.TRACES, traces([made(MIDNIGHT_NS, MIDNIGHT_NS + duration_ns)]), tenant=tenant)

    found = session.value(
        "SELECT mapKeys(durations)[1] FROM activity_1s WHERE ends > 0 AND tenant = {tenant:String}",
        {"tenant": tenant},
    )

    assert found == index
    if duration_ns > 1:
        assert 2 ** (index / 16) < duration_ns <= 2 ** ((index + 1) / 16) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("trace_state", "weight"),
    [("", "1"), ("ot=th:8", "2"), ("ot=th:c", "4"), ("ot=th:0", "1"), ("ot=rv:0f;th:fc", "64"),
     ("vendor=x,ot=th:fd70a3d70a3d70", "100"), ("ot=th:ffffffffffffff", "1000000"), ("ot=th:xyz", "1"),
     ("lot=th:8", "1")],
)  # fmt: skip
def test_sampled_requests_count_for_those_not_kept(
    session: Session,
    insert: Callable[..., None],
    tenant: str,
    made: Any,
    traces: Any,
    trace_state: str,
    weight: str,
) -> None:
    insert(
        Signal.TRACES,
        traces([made(MIDNIGHT_NS, MIDNIGHT_NS + 10, error=True, trace_state=trace_state)]),
        tenant=tenant,
    )

    found = session.rows(
        "SELECT toString(sum(requests)), sum(starts), toString(sum(errors_weighted)) FROM activity_1s"
        " WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )

    assert found == [(weight, 1, weight)]


def test_only_work_asked_from_outside_counts(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any
) -> None:
    spans = [made(MIDNIGHT_NS, MIDNIGHT_NS + 10, kind=kind) for kind in range(6)]
    root = made(
        MIDNIGHT_NS, MIDNIGHT_NS + 10, kind=1, attributes={"faas.trigger": "timer", "faas.coldstart": "true"}
    )
    insert(Signal.TRACES, traces([*spans, root]), tenant=tenant)

    found = session.rows(
        "SELECT sum(starts), sum(cold_starts) FROM activity_1s WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )
    assert found == [(3, 1)]


def test_sidecars_and_health_checks_are_told_apart(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any
) -> None:
    request = made(MIDNIGHT_NS, MIDNIGHT_NS + 10)
    probe = made(MIDNIGHT_NS, MIDNIGHT_NS + 10, attributes={"user_agent.original": "kube-probe/1.35"})
    sidecar = {"service.name": "quote-api", "k8s.container.name": "istio-proxy"}
    insert(Signal.TRACES, traces([request, probe]), traces([request, request], sidecar), tenant=tenant)

    found = session.rows(
        "SELECT source, sum(starts) FROM activity_1s WHERE tenant = {tenant:String}"
        " GROUP BY source ORDER BY source",
        {"tenant": tenant},
    )
    assert found == [("application", 1), ("probe", 1), ("proxy", 2)]
