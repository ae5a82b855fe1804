"""The way in without a transport: order of decisions, leases, cancellation, counters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from collector.admission import Lease
from collector.codecs import Encoding
from collector.door import Arrival, Caller, Form, OpenDoor, Transport
from collector.errors import BadRequestError
from collector.handling import Wire, _on_disk
from collector.intake import Entry, Intake
from collector.own import OwnRequests
from collector.refusals import (
    ForbiddenError,
    OverloadedError,
    SlowSenderError,
    TooLargeError,
    UnauthenticatedError,
    UnsupportedTypeError,
)
from collector.replies import Kind, Outcome
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from ingest.signals import Signal
from ingest.spool.errors import SpoolFailedError, SpoolFullError
from ingest.spool.records import Receipt


def arrival(**changed: Any) -> Arrival:
    values: dict[str, Any] = {
        "signal": Signal.TRACES,
        "transport": Transport.HTTP,
        "form": Form.PROTOBUF,
        "headers": {},
        "peer": "127.0.0.1",
    }
    return Arrival(**{**values, **changed})


def reads(data: bytes, encoding: Encoding = Encoding.IDENTITY) -> Callable[[Lease], Awaitable[Wire]]:
    async def read(lease: Lease) -> Wire:
        lease.settle(len(data))
        return Wire(data, encoding)

    return read


def fails(error: Exception) -> Callable[[Lease], Awaitable[Wire]]:
    async def read(lease: Lease) -> Wire:
        raise error

    return read


class Setup:
    """An intake over the fakes, and its counters."""

    def __init__(self, fakes: Any, **changed: Any) -> None:
        self.registry = CollectorRegistry()
        self.spool = fakes.spool()
        self._until = fakes.until
        self.intake = Intake(
            CollectorSettings(**changed),
            spool=self.spool,
            look=fakes.look,
            check=fakes.check,
            from_json=fakes.from_json,
            from_foreign=fakes.from_foreign,
            door=fakes.door or OpenDoor(),
            telemetry=Telemetry(self.registry),
            clock_ns=lambda: 42,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        await self._until(condition)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"lowtide_collector_{name}", labels) or 0.0

    def total(self, name: str, **labels: str) -> float:
        """The sum over all label values that are not given."""
        return sum(
            sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == f"lowtide_collector_{name}" and labels.items() <= sample.labels.items()
        )


@pytest.fixture
async def make_setup(fakes: Any) -> Any:
    made: list[Setup] = []

    def make(*, door: Any = None, **changed: Any) -> Setup:
        fakes.door = door
        made.append(Setup(fakes, **changed))
        return made[-1]

    yield make
    for setup in made:
        setup.spool.release()
        await setup.intake.close(1)


async def test_a_request_is_stored_and_counted(make_setup: Any, make_request: Any) -> None:
    setup = make_setup()
    body = make_request(Signal.TRACES, ["a", "reject", "b"])
    outcome = await setup.intake.serve(arrival(), reads(body))
    assert outcome == Outcome(Kind.OK, "records named reject are refused", 1)
    assert setup.spool.names() == ["a", "b"]
    assert setup.spool.received_ns == [42]
    assert setup.count("requests_total", signal="traces", transport="http", code="200") == 1
    assert setup.count("wire_bytes_total", signal="traces", transport="http") == len(body)
    assert setup.count("body_bytes_total", signal="traces", transport="http") == len(body)
    assert setup.count("items_received_total", signal="traces") == 3
    assert setup.count("items_accepted_total", signal="traces") == 2
    assert setup.count("items_refused_total", signal="traces", reason="check") == 1
    assert setup.count("request_seconds_count", signal="traces", transport="http") == 1
    assert setup.count("inflight_bytes") == 0


async def test_the_door_decides_the_tenant_before_the_body_is_read(
    make_setup: Any, make_request: Any
) -> None:
    class TokenDoor:
        def admit(self, arrival: Arrival) -> Caller:
            match arrival.headers.get("authorization"):
                case "Bearer good":
                    return Caller(tenant="team-a")
                case None:
                    raise UnauthenticatedError("a token is needed")
                case _:
                    raise ForbiddenError("this token may not write traces")

    setup = make_setup(door=TokenDoor())
    unread = fails(AssertionError("the body must not be read"))
    outcome = await setup.intake.serve(arrival(), unread)
    assert outcome == Outcome(Kind.UNAUTHENTICATED, "a token is needed")
    outcome = await setup.intake.serve(arrival(headers={"authorization": "Bearer bad"}), unread)
    assert outcome.kind is Kind.FORBIDDEN
    body = make_request(Signal.TRACES, ["a"])
    outcome = await setup.intake.serve(arrival(headers={"authorization": "Bearer good"}), reads(body))
    assert outcome.kind is Kind.OK
    assert setup.spool.stored == [(Signal.TRACES, "team-a", body, 1)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequestError("bad"), Kind.BAD_DATA),
        (TooLargeError("large"), Kind.TOO_LARGE),
        (UnsupportedTypeError("what"), Kind.UNSUPPORTED_TYPE),
        (SlowSenderError("slow"), Kind.SLOW_SENDER),
        (OverloadedError("full"), Kind.OVERLOADED),
    ],
)
async def test_reasons_raised_while_reading(make_setup: Any, error: Exception, kind: Kind) -> None:
    setup = make_setup()
    assert await setup.intake.serve(arrival(), fails(error)) == Outcome(kind, str(error))
    assert setup.count("inflight_bytes") == 0


async def test_a_more_precise_reason_is_mapped_like_its_base(make_setup: Any) -> None:
    class PreciseError(BadRequestError):
        pass

    outcome = await make_setup().intake.serve(arrival(), fails(PreciseError("precise")))
    assert outcome == Outcome(Kind.BAD_DATA, "precise")


async def test_a_body_that_does_not_come_is_a_slow_sender(make_setup: Any) -> None:
    setup = make_setup(body_timeout_s=0.05)

    async def never(lease: Lease) -> Wire:
        await asyncio.Event().wait()
        raise AssertionError

    outcome = await setup.intake.serve(arrival(), never)
    assert outcome == Outcome(Kind.SLOW_SENDER, "the request's body did not arrive within 0.05 seconds")
    assert setup.count("inflight_bytes") == 0


async def test_a_sender_that_is_gone_gives_its_bytes_back(make_setup: Any) -> None:
    setup = make_setup()
    entry = setup.intake.enter(arrival())
    assert isinstance(entry, Entry)
    entry.lease.grow(100)
    assert setup.count("inflight_bytes") == 100
    setup.intake.gone(entry)
    assert setup.count("inflight_bytes") == 0
    assert setup.count("requests_total", signal="traces", transport="http", code="cancelled") == 1


async def test_a_defect_is_logged_once_and_not_told(make_setup: Any, make_request: Any) -> None:
    setup = make_setup()
    with structlog.testing.capture_logs() as logs:
        outcome = await setup.intake.serve(arrival(), reads(make_request(Signal.TRACES, ["boom"])))
    assert outcome.kind is Kind.INTERNAL
    assert "secret" not in outcome.message
    assert len(logs) == 1
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)
    assert setup.count("inflight_bytes") == 0


async def test_refusals_are_not_logged(make_setup: Any) -> None:
    setup = make_setup()
    with structlog.testing.capture_logs() as logs:
        await setup.intake.serve(arrival(), reads(b"\xff"))
        setup.spool.fail = SpoolFullError("full")
        await setup.intake.serve(arrival(), reads(b"\x0a\x07\x12\x05\x12\x03\x2a\x01a"))
    assert logs == []


@pytest.mark.parametrize("phase", ["reading", "storing"])
async def test_cancelling_gives_the_bytes_back_and_leaves_the_spool_alone(
    make_setup: Any, make_request: Any, phase: str
) -> None:
    setup = make_setup()
    setup.spool.hold = True
    reading = asyncio.Event()

    async def forever(lease: Lease) -> Wire:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    read = forever if phase == "reading" else reads(make_request(Signal.TRACES, ["a"]))
    task = asyncio.create_task(setup.intake.serve(arrival(), read))
    await setup.until(lambda: reading.is_set() or setup.spool.held)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Bytes that are on their way to the disk stay counted until they are there.
    assert (setup.count("inflight_bytes") == 0) == (phase == "reading")
    assert not any(future.cancelled() for future in setup.spool.held)
    setup.spool.release()
    await setup.intake.close(5)
    assert setup.count("inflight_bytes") == 0
    assert setup.count("items_accepted_total", signal="traces") == (0 if phase == "reading" else 1)
    assert setup.count("requests_total", signal="traces", transport="http", code="cancelled") == 1


async def test_a_request_of_our_own_is_counted_also_if_nobody_waits_for_it_any_more(
    make_setup: Any, make_request: Any
) -> None:
    setup = make_setup()
    setup.spool.hold = True
    own = OwnRequests(setup.intake, Transport.SCRAPE)
    task = asyncio.create_task(own.store("t", make_request(Signal.METRICS, ["a"])))
    await setup.until(lambda: setup.spool.held)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    setup.spool.release()
    await setup.intake.close(5)
    assert setup.count("items_accepted_total", signal="metrics") == 1
    assert setup.count("requests_total", signal="metrics", transport="scrape", code="cancelled") == 1


async def test_a_disk_that_was_told_to_leave_off_ends_the_wait() -> None:
    stored: Future[int] = Future()
    waiting = _on_disk(Receipt(stored, is_resend=False, reply=None))
    stored.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 10)


def test_a_disk_that_answers_after_the_loop_has_ended_disturbs_nobody(
    make_setup: Any, make_request: Any, caplog: pytest.LogCaptureFixture
) -> None:
    setup = make_setup()
    setup.spool.hold = True

    async def life() -> None:
        read = reads(make_request(Signal.TRACES, ["a"]))
        reading = asyncio.create_task(setup.intake.serve(arrival(), read))
        await setup.until(lambda: setup.spool.held)
        await setup.intake.close(0.01)
        assert not reading.done()

    asyncio.run(life())
    setup.spool.release()
    assert caplog.records == []


@pytest.mark.parametrize("inline_bytes", [0, 10_000_000])
@pytest.mark.parametrize("form", [Form.PROTOBUF, Form.JSON])
async def test_the_same_comes_out_of_the_loop_and_a_thread(
    make_setup: Any, make_request: Any, inline_bytes: int, form: Form
) -> None:
    import gzip

    setup = make_setup(inline_bytes=inline_bytes)
    body = make_request(Signal.TRACES, ["a", "reject"] * 1000)
    if form is Form.JSON:
        body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"reject"}]}]}]}'
    outcome = await setup.intake.serve(arrival(form=form), reads(gzip.compress(body), Encoding.GZIP))
    assert outcome.kind is Kind.OK
    assert outcome.rejected == (1 if form is Form.JSON else 1000)
    assert setup.count("body_bytes_total", signal="traces", transport="http") == len(body)
    assert setup.count("inflight_bytes") == 0


@pytest.mark.parametrize("form", [Form.PROTOBUF, Form.JSON])
async def test_slow_work_is_done_one_at_a_time_and_never_on_the_loop(
    make_setup: Any, make_request: Any, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    setup = make_setup()
    may_go = threading.Event()
    working: list[int] = []
    most: list[int] = []

    def slowly(work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            assert threading.current_thread() is not threading.main_thread()
            working.append(1)
            most.append(len(working))
            assert may_go.wait(10)
            try:
                return work(*args, **named)
            finally:
                working.pop()

        return wrapped

    name = "_check" if form is Form.PROTOBUF else "_from_json"
    handling = setup.intake._handling
    monkeypatch.setattr(handling, name, slowly(getattr(handling, name)))
    body = make_request(Signal.TRACES, ["a", "reject"])
    if form is Form.JSON:
        body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"reject"}]}]}]}'
    slow = [asyncio.create_task(setup.intake.serve(arrival(form=form), reads(body))) for _ in range(4)]
    await setup.until(lambda: working)
    clean = make_request(Signal.TRACES, ["b"])
    assert (await setup.intake.serve(arrival(), reads(clean))).kind is Kind.OK
    assert not any(task.done() for task in slow)
    may_go.set()
    assert [(outcome.kind, outcome.rejected) for outcome in await asyncio.gather(*slow)] == [(Kind.OK, 1)] * 4
    assert set(most) == {1}
    assert setup.count("inflight_bytes") == 0


async def test_stopping_refuses_and_waits(make_setup: Any, make_request: Any) -> None:
    setup = make_setup()
    setup.spool.hold = True
    body = make_request(Signal.TRACES, ["a"])
    first = asyncio.create_task(setup.intake.serve(arrival(), reads(body)))
    await setup.until(lambda: setup.spool.held)
    closing = asyncio.create_task(setup.intake.close(5))
    await asyncio.sleep(0.01)
    assert not closing.done()
    assert (await setup.intake.serve(arrival(), reads(body))).kind is Kind.STOPPING
    setup.spool.release()
    assert (await first).kind is Kind.OK
    await closing
    await setup.intake.close(5)


async def test_stopping_does_not_wait_longer_than_told(make_setup: Any, make_request: Any) -> None:
    setup = make_setup()
    setup.spool.hold = True
    task = asyncio.create_task(setup.intake.serve(arrival(), reads(make_request(Signal.TRACES, ["a"]))))
    await setup.until(lambda: setup.spool.held)
    with structlog.testing.capture_logs() as logs:
        await setup.intake.close(0.01)
    assert logs == [{"event": "stopped with requests unanswered", "log_level": "warning", "requests": 1}]
    setup.spool.release()
    assert (await task).kind is Kind.OK


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(list(Signal)),
        st.sampled_from(list(Transport)),
        st.one_of(
            st.lists(st.sampled_from(["a", "b", "reject", "warn", "boom"]), max_size=5),
            st.just(b"\xff\xff"),
        ),
        st.sampled_from([None, SpoolFullError("full"), SpoolFailedError("failed"), OSError("?")]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(requests=REQUESTS)
def test_the_numbers_add_up(fakes: Any, make_request: Any, requests: list[Any]) -> None:
    async def run() -> None:
        setup = Setup(fakes)
        sent = decodable = told_stored = told_rejected = 0
        for signal, transport, names, error, later in requests:
            setup.spool.fail, setup.spool.fail_later = (None, error) if later else (error, None)
            body = names if isinstance(names, bytes) else make_request(signal, names)
            outcome = await setup.intake.serve(arrival(signal=signal, transport=transport), reads(body))
            sent += 1
            if isinstance(names, list) and "boom" not in names:
                decodable += len(names)
            if outcome.kind is Kind.OK:
                told_stored += len(names) - outcome.rejected
                told_rejected += outcome.rejected
        stored = sum(items for _, _, _, items in setup.spool.stored)
        assert setup.total("requests_total") == sent
        assert setup.total("items_received_total") == decodable
        assert setup.total("items_accepted_total") == stored == told_stored
        assert setup.total("items_refused_total") == decodable - stored
        assert setup.count("inflight_bytes") == 0
        await setup.intake.close(1)

    fakes.door = None
    with structlog.testing.capture_logs():
        asyncio.run(run())
