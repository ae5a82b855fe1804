"""Requests that are sent again: told what the first was told, and not handed to the spool twice."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from collector.admission import Lease
from collector.codecs import Encoding
from collector.door import Arrival, Caller, Form, OpenDoor, Transport
from collector.handling import Wire
from collector.intake import Intake
from collector.replies import Kind, Outcome, Written, kept, outcome_of
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from ingest.signals import Signal
from ingest.spool.errors import SpoolFailedError, SpoolFullError, SpoolReadError

HTTP = Arrival(Signal.TRACES, Transport.HTTP, Form.PROTOBUF, {}, "127.0.0.1")
GRPC = replace(HTTP, transport=Transport.GRPC)
JSON = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"reject"}]}]}]}'


def reads(data: bytes, encoding: Encoding = Encoding.IDENTITY) -> Callable[[Lease], Awaitable[Wire]]:
    async def read(lease: Lease) -> Wire:
        lease.settle(len(data))
        return Wire(data, encoding)

    return read


class Place:
    """An intake over a spool that remembers."""

    def __init__(self, fakes: Any, make_request: Any) -> None:
        self.spool = fakes.spool()
        self.spool.remembers = True
        self.registry = CollectorRegistry()
        self.tenant = "default"
        self.body: bytes = make_request(Signal.TRACES, ["a", "reject", "b"])
        self.timed = True
        self.intake = Intake(
            CollectorSettings(),
            spool=self.spool,
            look=self._judged(fakes.look),
            check=self._judged(fakes.check),
            from_json=fakes.from_json,
            from_foreign=fakes.from_foreign,
            door=self,
            telemetry=Telemetry(self.registry),
        )

    def _judged(self, judge: Any) -> Any:
        def judged(signal: Signal, body: bytes, *, now_ns: int) -> Any:
            found = judge(signal, body, now_ns=now_ns)
            return None if found is None else replace(found, timed=self.timed)

        return judged

    def admit(self, arrival: Arrival) -> Caller:
        return replace(OpenDoor().admit(arrival), tenant=self.tenant)

    async def send(self, arrival: Arrival = HTTP, *wire: Any) -> Outcome:
        return await self.intake.serve(arrival, reads(*(wire or (self.body,))))

    async def spool_holds(self) -> None:
        while not self.spool.held:  # noqa: ASYNC110 - the fake has no event to wait for
            await asyncio.sleep(0.002)

    def items(self, name: str) -> float:
        return sum(
            sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == f"lowtide_collector_items_{name}_total"
        )


@pytest.fixture
async def place(fakes: Any, make_request: Any) -> Any:
    fakes.door = None
    made = Place(fakes, make_request)
    yield made
    made.spool.release()
    await made.intake.close(1)


@pytest.mark.parametrize("overtaken", [False, True])
async def test_a_request_sent_again_is_told_the_same_and_stored_once(place: Any, overtaken: bool) -> None:
    first = await place.send()
    place.spool.overtaken = overtaken
    again = [
        await place.send(),
        await place.send(HTTP, gzip.compress(place.body), Encoding.GZIP),
        await place.send(GRPC),
    ]

    assert first == Outcome(Kind.OK, "records named reject are refused", 1)
    assert again == [first] * 3
    assert place.spool.names() == ["a", "b"]
    assert (place.items("received"), place.items("accepted"), place.items("refused")) == (3, 2, 1)


async def test_json_is_recognised_by_its_own_bytes(place: Any) -> None:
    form = replace(HTTP, form=Form.JSON)
    first, again = await place.send(form, JSON), await place.send(form, JSON)
    other = await place.send(form, JSON + b" ")

    assert first == again == other == Outcome(Kind.OK, "records named reject are refused", 1)
    assert place.spool.names() == ["a", "a"]


async def test_another_tenant_or_signal_is_another_request(place: Any, make_request: Any) -> None:
    await place.send()
    place.tenant = "other"
    await place.send()
    body = make_request(Signal.LOGS, [])
    await place.send(HTTP, body)
    await place.send(replace(HTTP, signal=Signal.LOGS), body)

    assert [tenant for _, tenant, _, _ in place.spool.stored] == ["default", "other"]


async def test_a_key_tells_equal_requests_apart(place: Any) -> None:
    for key in ("one", "two", "one"):
        await place.send(replace(HTTP, headers={"idempotency-key": key}))
    await place.send(replace(GRPC, headers={"idempotency-key": "two"}))
    await place.send()

    assert place.spool.names() == ["a", "b"] * 3


async def test_records_without_a_time_may_come_twice(place: Any) -> None:
    place.timed = False
    assert await place.send() == await place.send()
    assert place.spool.names() == ["a", "b", "a", "b"]


async def test_a_repetition_waits_for_the_first(place: Any) -> None:
    place.spool.hold = True
    first = asyncio.create_task(place.send())
    await place.spool_holds()
    again = asyncio.create_task(place.send(GRPC))
    await asyncio.sleep(0.05)
    assert not again.done()
    place.spool.release()

    assert await first == await again
    assert place.spool.names() == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(SpoolFullError("full"), Kind.SPOOL_FULL), (SpoolFailedError("EIO"), Kind.SPOOL_FAILED)],
)
async def test_a_repetition_of_what_fails_fails_with_it(place: Any, error: Exception, kind: Kind) -> None:
    place.spool.hold = True
    tasks = [asyncio.create_task(place.send())]
    await place.spool_holds()
    tasks.append(asyncio.create_task(place.send()))
    await asyncio.sleep(0.05)
    place.spool.held.pop().set_exception(error)

    assert [(await task).kind for task in tasks] == [kind, kind]
    assert place.items("received") == place.items("refused") == 3


@pytest.mark.parametrize(
    ("on_disk", "outcome"),
    [
        (kept(Outcome(Kind.OK, "why", 7)), Outcome(Kind.OK, "why", 7)),
        (SpoolReadError("away"), Kind.SPOOL_FAILED),
        (None, Kind.OK),
    ],
)
async def test_a_reply_may_have_to_be_read(place: Any, on_disk: Any, outcome: Any) -> None:
    first = await place.send()
    ((digest, receipt),) = place.spool.known.items()
    place.spool.known[digest] = replace(receipt, reply=None, place=9)
    place.spool.on_disk = on_disk

    again = await place.send()

    assert again == outcome or again.kind is outcome
    assert again.rejected != first.rejected
    assert place.spool.names() == ["a", "b"]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Kind.OK),
        Outcome(Kind.OK, "why", 3),
        Outcome(Kind.OK, "a warning"),
        Outcome(Kind.OK, "", 2**40),
        Outcome(Kind.OK, "\ud800 ü" * 10, 1),
        Outcome(Kind.OK, "why", 3, written=Written(2**40, 5, 6)),
        Outcome(Kind.OK, written=Written(0, 0, 1)),
    ],
)
def test_what_was_answered_is_kept(outcome: Outcome) -> None:
    again = outcome_of(kept(outcome))
    assert (again.kind, again.rejected) == (outcome.kind, outcome.rejected)
    assert again.written == outcome.written
    assert again.message == outcome.message.encode("utf-8", "replace").decode()


def test_a_plain_success_takes_no_room() -> None:
    assert kept(Outcome(Kind.OK)) == b""
