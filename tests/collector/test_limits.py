"""What keeps one sender from taking everything: shares of the bytes in flight, rates, places by address, and
when the refused are asked to come back.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import Counter
from typing import Any

import grpc
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from collector.admission import LATELY_S, Admission, Lease
from collector.door import Arrival, Caller
from collector.later import Later
from collector.peers import Peers, host_of
from collector.rates import Rates
from collector.refusals import OverloadedError, OverShareError, TooFastError
from collector.settings import MIB, CollectorSettings
from ingest.signals import Signal
from ingest.spool.errors import SpoolDiskLowError, SpoolFailedError, SpoolFullError
from support.http_wire import LINES

SEED = 1


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class HeaderDoor:
    """The tenant is what a header says."""

    def admit(self, arrival: Arrival) -> Caller:
        return Caller(arrival.headers.get("tenant", "default"))


# --- shares of the bytes in flight


def test_alone_a_tenant_may_have_everything() -> None:
    admission = Admission(100, common_bytes=75)
    with admission.lease(100, "a"):
        assert admission.used_bytes == 100


def test_the_last_part_is_for_those_with_less_than_their_share() -> None:
    admission = Admission(100, common_bytes=75)
    admission.lease(0, "b").close()
    greedy = admission.lease(75, "a")
    with pytest.raises(OverShareError, match="more than its share"):
        greedy.grow(1)
    with pytest.raises(OverShareError):
        admission.lease(1, "a")
    modest = admission.lease(25, "b")
    with pytest.raises(OverloadedError, match="too much at a time"):
        modest.grow(1)
    greedy.close()
    modest.grow(25)
    with pytest.raises(OverShareError):
        modest.grow(26)


def test_who_was_refused_finds_room_when_it_comes_back() -> None:
    """A flood that came first has everything; from the other's first attempt on it is let in no more."""
    admission = Admission(100, common_bytes=75)
    flood = [admission.lease(5, "flood") for _ in range(20)]
    quiet = admission.lease(0, "quiet")
    with pytest.raises(OverloadedError):
        quiet.grow(5)
    quiet.close()
    for lease in flood[:5]:
        lease.close()
    with pytest.raises(OverShareError):
        admission.lease(5, "flood")
    admission.lease(5, "quiet")


def test_who_has_been_silent_does_not_count() -> None:
    clock = Clock()
    admission = Admission(100, common_bytes=75, clock=clock)
    admission.lease(0, "b").close()
    clock.now = LATELY_S
    with pytest.raises(OverShareError):
        admission.lease(100, "a")
    clock.now = LATELY_S + 1
    admission.lease(100, "a")


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["open", "grow", "close"]), st.integers(0, 60)),
        max_size=60,
    )
)
def test_nobody_below_its_share_is_refused_while_there_is_room(steps: list[tuple[str, str, int]]) -> None:
    admission = Admission(100, common_bytes=75)
    open_leases: dict[str, list[tuple[Lease, int]]] = {name: [] for name in "abc"}
    for name in "abc":
        admission.lease(0, name).close()
    for tenant, what, size in steps:
        mine = open_leases[tenant]
        held = sum(each for _, each in mine)
        used = admission.used_bytes
        try:
            if what == "close" and mine:
                mine.pop()[0].close()
            elif what == "grow" and mine:
                lease, before = mine.pop()
                mine.append((lease, before))
                lease.grow(size)
                mine[-1] = (lease, before + size)
            elif what == "open":
                mine.append((admission.lease(size, tenant), size))
        except OverShareError:
            assert used + size > 75
            assert held + size > 100 / 3
        except OverloadedError:
            assert used + size > 100
        assert admission.used_bytes == sum(s for own in open_leases.values() for _, s in own) <= 100


def test_the_largest_request_fits_whatever_the_shares() -> None:
    tight = CollectorSettings(max_body_bytes=MIB, max_wire_bytes=MIB, max_inflight_bytes=2 * MIB)
    assert tight.common_inflight_bytes == 2 * MIB
    assert CollectorSettings().common_inflight_bytes == 192 * MIB


async def test_what_would_not_fit_is_refused_before_it_is_read(start_receivers: Any) -> None:
    receivers = await start_receivers(max_body_bytes=MIB, max_wire_bytes=MIB, max_inflight_bytes=2 * MIB)
    held = receivers.intake._admission.lease(MIB + 1, "default")
    _, writer = connection = await receivers.connect()
    writer.write(LINES + b"content-length: %d\r\n\r\n" % MIB)
    assert (await connection[0].readline()).startswith(b"HTTP/1.1 503")
    held.close()


# --- a storm

CAPACITY = 10
"""Requests the simulated disk stores in a second."""
SECONDS = 300


def storm(offered: int, tenants: dict[str, int], *, obedient: bool) -> tuple[Counter[str], Counter[int]]:
    """Senders that all begin at once, each one request after the other, against a disk that stores
    `CAPACITY` requests a second out of a budget of 40. Virtual time; the same every time.

    Returns what was stored by tenant, and how many attempts there were in each second.
    """
    draw = random.Random(SEED)
    clock = Clock()
    admission = Admission(40, common_bytes=30, clock=clock)
    later = Later(5)
    later.draw = draw.random  # type: ignore[method-assign]
    senders = [name for name, weight in tenants.items() for _ in range(weight * offered)]
    events: list[tuple[float, int, str]] = [
        (draw.random() / 100, number, "try") for number in range(len(senders))
    ]
    heapq.heapify(events)
    stored: Counter[str] = Counter()
    attempts: Counter[int] = Counter()
    waiting: list[tuple[int, Lease]] = []
    busy_until = 0.0
    while events and events[0][0] < SECONDS:
        clock.now, number, what = heapq.heappop(events)
        if what == "stored":
            sender, lease = waiting.pop(0)
            lease.close()
            stored[senders[sender]] += 1
            heapq.heappush(events, (clock.now + draw.random() / 10, sender, "try"))
            continue
        attempts[int(clock.now)] += 1
        try:
            waiting.append((number, admission.lease(1, senders[number])))
        except OverloadedError:
            pause_s = later.seconds() if obedient else 0.2
            heapq.heappush(events, (clock.now + pause_s, number, "try"))
        else:
            busy_until = max(busy_until, clock.now) + 1 / CAPACITY
            heapq.heappush(events, (busy_until, -1, "stored"))
    return stored, attempts


@pytest.mark.parametrize("obedient", [True, False])
@pytest.mark.parametrize("offered", [1, 2, 5, 10])
def test_what_is_stored_under_overload_stays_near_the_most(offered: int, obedient: bool) -> None:
    stored, _ = storm(40 * offered, {"a": 1}, obedient=obedient)
    assert stored.total() >= 0.95 * CAPACITY * SECONDS


@pytest.mark.parametrize("obedient", [True, False])
def test_a_flood_does_not_starve_the_others(obedient: bool) -> None:
    """Three senders of one tenant beside 400 of another, that fill the budget first."""
    stored, _ = storm(1, {"flood": 400, "quiet": 3}, obedient=obedient)
    assert stored.total() >= 0.95 * CAPACITY * SECONDS
    # Three that send one after the other and wait three seconds in line each time. Without shares they have
    # fewer than ten.
    assert stored["quiet"] >= 0.9 * SECONDS / 3 * 3


def test_the_refused_do_not_come_back_together() -> None:
    _, attempts = storm(400, {"a": 1}, obedient=True)
    assert attempts[0] >= 400
    assert max(attempts[second] for second in range(1, SECONDS)) < 130


# --- when to come back


@given(st.integers(1, 600), st.floats(0, 1, exclude_max=True), st.one_of(st.none(), st.integers(0, 900)))
def test_each_has_a_time_of_its_own(setting: int, drawn: float, known: int | None) -> None:
    later = Later(setting)
    later.draw = lambda: drawn  # type: ignore[method-assign]
    least = max(setting, known or 0)
    assert least <= later.seconds(known) <= 2 * least


def test_all_times_are_drawn() -> None:
    later = Later(5)
    draw = random.Random(SEED)
    later.draw = draw.random  # type: ignore[method-assign]
    assert {later.seconds() for _ in range(200)} == {5, 6, 7, 8, 9, 10}


# --- bytes a second


def test_a_tenant_pays_afterwards_and_waits_out_its_debt() -> None:
    clock = Clock()
    rates = Rates(100, 1000, clock=clock)
    rates.check("a")
    rates.pay("a", 999)
    rates.check("a")
    rates.pay("a", 501)
    with pytest.raises(TooFastError, match="100 bytes a second") as refused:
        rates.check("a")
    assert refused.value.retry_after_s == 5
    rates.check("b")
    clock.now = 5.0
    with pytest.raises(TooFastError):
        rates.check("a")
    clock.now = 5.1
    rates.check("a")


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5000)), min_size=1, max_size=50))
def test_nobody_gets_more_than_rate_and_burst(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    rates = Rates(100, 1000, clock=clock)
    sent = largest = 0
    for pause_s, size in steps:
        clock.now += pause_s
        largest = max(largest, size)
        try:
            rates.check("a")
        except TooFastError as error:
            clock.now += error.retry_after_s
            # To the second: at the very end of the debt it may be told once more.
            clock.now += 0.001
            rates.check("a")
            continue
        rates.pay("a", size)
        sent += size
        assert sent <= 1000 + 100 * clock.now + largest


def test_full_accounts_are_forgotten() -> None:
    clock = Clock()
    rates = Rates(100, 1000, clock=clock)
    for number in range(50):
        rates.pay(f"tenant-{number}", 10)
    clock.now = 60.0
    rates.pay("a", 10)
    assert list(rates._accounts) == ["a"]


def test_no_rate_keeps_nothing() -> None:
    rates = Rates(0, 1)
    rates.pay("a", 10**12)
    rates.check("a")
    assert not rates._accounts


async def test_a_tenant_that_is_too_fast_is_told_when_to_come_back(
    start_receivers: Any, make_request: Any
) -> None:
    receivers = await start_receivers(door=HeaderDoor(), tenant_bytes_per_s=1, tenant_burst_bytes=1)
    body = make_request(Signal.TRACES, ["x" * 100])
    assert (await receivers.post("/v1/traces", body, tenant="a")).status_code == 200

    refused = await receivers.post("/v1/traces", body, tenant="a")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 90
    with pytest.raises(grpc.aio.AioRpcError) as call:
        await receivers.export(Signal.TRACES, body, metadata=(("tenant", "a"),))
    assert call.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert b"RetryInfo" in dict(call.value.trailing_metadata())["grpc-status-details-bin"]

    assert (await receivers.post("/v1/traces", body, tenant="b")).status_code == 200
    counted = receivers.count
    assert counted("lowtide_collector_tenant_refusals_total", tenant="a", reason="too_fast") == 2
    assert counted("lowtide_collector_tenant_bytes_total", tenant="b") == len(body)
    assert (
        counted("lowtide_collector_refusals_total", signal="traces", transport="grpc", reason="too_fast") == 1
    )


async def test_labels_of_tenants_are_bounded(start_receivers: Any, make_request: Any) -> None:
    receivers = await start_receivers(door=HeaderDoor())
    for number in range(203):
        response = await receivers.post("/v1/traces", b"", tenant=f"tenant-{number}")
        assert response.status_code == 200
    body = make_request(Signal.TRACES, ["a"])
    for number in (0, 201, 202):
        await receivers.post("/v1/traces", body, tenant=f"tenant-{number}")
    name = "lowtide_collector_tenant_bytes_total"
    assert receivers.count(name, tenant="tenant-0") == len(body)
    assert receivers.count(name, tenant="tenant-202") == 0
    assert receivers.count(name, tenant="(other)") == 2 * len(body)


# --- the spool says before that it has no room


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (SpoolFullError("inner"), "spool_full", "disk buffer is full"),
        (SpoolDiskLowError("inner"), "disk_low", "disk is nearly full"),
        (SpoolFailedError("inner"), "spool_failed", "cannot write to its disk"),
    ],
)
async def test_without_room_nothing_is_read(
    receivers: Any, make_request: Any, error: Exception, reason: str, words: str
) -> None:
    receivers.spool.no_room = error
    body = make_request(Signal.LOGS, ["a"])
    refused = await receivers.post("/v1/logs", body)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert words in refused.text
    with pytest.raises(grpc.aio.AioRpcError) as call:
        await receivers.export(Signal.LOGS, body)
    assert call.value.code() is grpc.StatusCode.UNAVAILABLE
    for transport in ("http", "grpc"):
        labels = {"signal": "logs", "transport": transport}
        assert receivers.count("lowtide_collector_refusals_total", **labels, reason=reason) == 1
        assert receivers.count("lowtide_collector_wire_bytes_total", **labels) == 0
    receivers.spool.no_room = None
    assert (await receivers.post("/v1/logs", body)).status_code == 200


# --- places by address


def test_an_address_has_so_many_places() -> None:
    peers = Peers(2)
    assert [peers.enter("a"), peers.enter("a"), peers.enter("a"), peers.enter("b")] == [
        True,
        True,
        False,
        True,
    ]
    peers.leave("a")
    peers.leave("a")
    assert peers.enter("a")
    for address in "aab":
        peers.leave(address)
    assert len(peers) == 0


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:127.0.0.1:5555", "127.0.0.1"),
        ("ipv6:%5B::1%5D:5555", "%5B::1%5D"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("", ""),
    ],
)
def test_the_host_in_a_peer(peer: str, host: str) -> None:
    assert host_of(peer) == host


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address")
async def test_connections_of_one_address_above_the_limit_are_told_to_come_back(start_receivers: Any) -> None:
    receivers = await start_receivers(max_per_address=2)
    held = [await receivers.connect() for _ in range(2)]
    await receivers.until(lambda: receivers.http.connections == 2)
    refused = await receivers.post("/v1/traces", b"")
    assert (refused.status_code, refused.headers["connection"]) == (503, "close")
    assert b"too many connections" in refused.content
    # Another address of the same machine is another client.
    other = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx2.AsyncClient(transport=other, trust_env=False) as client:
        response = await client.post(
            f"http://127.0.0.1:{receivers.http_port}/v1/traces",
            headers={"content-type": "application/x-protobuf"},
        )
        assert response.status_code == 200
    for _, writer in held:
        writer.close()
    await receivers.until(lambda: len(receivers.http._shared.peers) == 0)
    assert (await receivers.post("/v1/traces", b"")).status_code == 200


async def test_calls_of_one_address_above_the_limit_are_told_to_come_back(
    start_receivers: Any, make_request: Any
) -> None:
    receivers = await start_receivers(max_per_address=2)
    receivers.spool.hold = True
    under_way = [receivers.export(Signal.TRACES, make_request(Signal.TRACES, [name])) for name in "ab"]
    await receivers.until(lambda: len(receivers.spool.held) == 2)
    with pytest.raises(grpc.aio.AioRpcError) as call:
        await receivers.export(Signal.TRACES, b"")
    assert call.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "from this address" in call.value.details()
    receivers.spool.release()
    for each in under_way:
        assert await each == b""
    assert await receivers.export(Signal.TRACES, b"") == b""


# --- series


async def test_points_of_series_beyond_the_limit_are_a_partial_success(
    start_receivers: Any, make_request: Any
) -> None:
    receivers = await start_receivers(door=HeaderDoor(), tenant_series=2)
    first = await receivers.post("/v1/metrics", make_request(Signal.METRICS, ["a", "b"]), tenant="t")
    assert (first.status_code, first.content) == (200, b"")

    response = await receivers.post("/v1/metrics", make_request(Signal.METRICS, ["c", "a", "d"]), tenant="t")
    assert response.status_code == 200
    said = ExportMetricsServiceResponse.FromString(response.content).partial_success
    assert said.rejected_data_points == 2
    assert "2 of 3 data points refused" in said.error_message
    assert "collector.tenant_series" in said.error_message
    assert [items for *_, items in receivers.spool.stored] == [2, 1]

    response = await receivers.post("/v1/metrics", make_request(Signal.METRICS, ["e"]), tenant="t")
    said = ExportMetricsServiceResponse.FromString(response.content).partial_success
    assert said.rejected_data_points == 1
    assert (await receivers.post("/v1/traces", make_request(Signal.TRACES, ["x"]), tenant="t")).content == b""
    assert (
        await receivers.post("/v1/metrics", make_request(Signal.METRICS, ["e"]), tenant="u")
    ).content == b""

    count = receivers.count
    assert count("lowtide_collector_items_received_total", signal="metrics") == 7
    assert count("lowtide_collector_items_accepted_total", signal="metrics") == 4
    assert count("lowtide_collector_items_refused_total", signal="metrics", reason="series") == 3
    assert count("lowtide_collector_tenant_refusals_total", tenant="t", reason="series") == 2
    assert count("lowtide_collector_tenant_series", tenant="t") == 2
