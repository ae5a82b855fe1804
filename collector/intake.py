"""The way in, without a transport: door, admission, decompression, check, spool, outcome. The receivers
call `Intake.serve`.

A success is returned only after the spool says the body is on disk. The trap is cancellation: a gRPC
client's deadline cancels the handler at any await. From the moment a body has been read it is therefore
handled in a task of its own, so that its bytes stay counted, its items are counted once, and the
spool's future is never cancelled under the spool's feet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from collector.admission import Admission, Lease
from collector.check.series import SeriesLimit
from collector.codecs import Encoding, expected_bytes, inflate
from collector.door import Arrival, Caller, Door, Form
from collector.errors import BadRequestError
from collector.needs import Check, CheckResult, Look, Spool
from collector.outcomes import INTERNAL_ERROR, code_of, outcome_of_error, spool_kind_of
from collector.rates import Rates
from collector.refusals import (
    SlowSenderError,
    StoppingError,
    TooLargeError,
)
from collector.replies import Kind, Outcome, kept, outcome_of
from collector.settings import CollectorSettings
from collector.telemetry import SERIES, Telemetry
from ingest.signals import Signal
from ingest.spool.records import Receipt, request_digest

log = structlog.get_logger(__name__)

KEY_HEADER = "idempotency-key"
"""Requests with different keys are different requests, even in the same bytes."""
_REPLY_GONE = "this request was received before; what was answered then is no longer known"


@dataclass(frozen=True, slots=True)
class Wire:
    """A request's body as it travelled."""

    data: bytes
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was let in. Whoever has one ends it: `answered` once it was handled, `refused` or `gone`
    before."""

    arrival: Arrival
    caller: Caller
    lease: Lease
    """What it holds of the budget; it grows with what was read."""
    began: float
    """On the clock of `time.perf_counter`."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at a body says."""

    body: bytes
    digest: bytes = b""
    before: Receipt | None = None
    """It was received before; then it is not looked at again."""
    checked: CheckResult | None = None
    """None: that takes a closer look."""


@dataclass(frozen=True, slots=True)
class _Limited:
    """A result without the points of series that a tenant may not begin."""

    body: bytes
    items: int
    rejected: int
    reason: str
    warning: str
    timed: bool
    dropped: int
    hashed: int
    limited: int
    """Of the rejected."""


class Intake:
    """Takes requests of both transports, all in one event loop."""

    def __init__(
        self,
        settings: CollectorSettings,
        *,
        spool: Spool,
        look: Look,
        check: Check,
        from_json: Callable[[Signal, bytes], bytes],
        door: Door,
        telemetry: Telemetry,
        series: SeriesLimit | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock_ns` tells the time of day, `clock` how many seconds pass."""
        self._settings = settings
        self._spool = spool
        self._look = look
        self._check = check
        self._from_json = from_json
        self._door = door
        self._series = series
        self._telemetry = telemetry
        self._clock_ns = clock_ns
        self._admission = Admission(
            settings.max_inflight_bytes, common_bytes=settings.common_inflight_bytes, clock=clock
        )
        self._rates = Rates(settings.tenant_bytes_per_s, settings.tenant_burst_bytes, clock=clock)
        self._threads = ThreadPoolExecutor(settings.cpu_threads, thread_name_prefix="collector")
        # Reading JSON and repairing take many times a body's size, and the interpreter: one at a time.
        self._slow_thread = ThreadPoolExecutor(1, thread_name_prefix="collector-slow")
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._stopping = False
        telemetry.watch(self._admission)
        if series is not None:
            telemetry.watch_series(series.counts)

    async def serve(self, arrival: Arrival, read: Callable[[Lease], Awaitable[Wire]]) -> Outcome:
        """Handle one request from its headers to its outcome, in a task of the caller's.

        `read` fetches the body within the time limit; it grows the lease to what it has read and raises the
        reasons in `collector.refusals`. Raises nothing itself but cancellation.
        """
        entry = self.enter(arrival)
        if isinstance(entry, Outcome):
            return entry
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                wire = await read(entry.lease)
        except TimeoutError:
            return self.refused(entry, self.too_slow())
        except asyncio.CancelledError:
            self.gone(entry)
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever happens, the sender gets an answer
            return self.refused(entry, error)
        try:
            return self.answered(entry, await asyncio.shield(self.handle(entry, wire)))
        except asyncio.CancelledError:
            self._count_answer(arrival, "cancelled", entry.began)
            raise

    # --- the same in steps, for a receiver without a task of its own

    def enter(self, arrival: Arrival) -> Entry | Outcome:
        """Decide all that is decided before the body is read; an outcome is a refusal."""
        began = time.perf_counter()
        caller: Caller | None = None
        try:
            caller = self._let_in(arrival)
            return Entry(arrival, caller, self._admitted(arrival, caller), began)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever happens, the sender gets an answer
            return self._ended(arrival, self._outcome_of(error, arrival, caller), began)

    def too_slow(self) -> SlowSenderError:
        """Why a request is refused whose body takes longer than it may."""
        seconds = self._settings.body_timeout_s
        return SlowSenderError(f"the request's body did not arrive within {seconds:g} seconds")

    def refused(self, entry: Entry, error: Exception) -> Outcome:
        """End a request whose body could not be read."""
        entry.lease.close()
        return self._ended(entry.arrival, self._outcome_of(error, entry.arrival, entry.caller), entry.began)

    def broken(self, entry: Entry, outcome: Outcome) -> Outcome:
        """End a request that the receiver could not read to its end; returns the outcome."""
        entry.lease.close()
        self._telemetry.tenant_refused(entry.caller.tenant, outcome.kind)
        return self._ended(entry.arrival, outcome, entry.began)

    def gone(self, entry: Entry) -> None:
        """End a request whose sender hung up before its body was complete."""
        entry.lease.close()
        self._count_answer(entry.arrival, "cancelled", entry.began)

    def handle(self, entry: Entry, wire: Wire) -> asyncio.Task[Outcome]:
        """Begin to check and store a body. Never cancel the task. It raises nothing, but ends cancelled where
        the intake is closed over it."""
        task = asyncio.get_running_loop().create_task(self._handle(entry, wire))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def answered(self, entry: Entry, outcome: Outcome) -> Outcome:
        """Count a request that was handled; returns what came of it."""
        return self._ended(entry.arrival, outcome, entry.began)

    def _ended(self, arrival: Arrival, outcome: Outcome, began: float) -> Outcome:
        self._count_answer(arrival, code_of(outcome, arrival.transport), began)
        self._telemetry.turned_away(arrival.signal, arrival.transport, outcome.kind)
        return outcome

    def _count_answer(self, arrival: Arrival, code: str, began: float) -> None:
        self._telemetry.answered(arrival.signal, arrival.transport, code, time.perf_counter() - began)

    def turn_away(self, arrival: Arrival, outcome: Outcome) -> Outcome:
        """Count a refusal that a receiver decided on by itself, before anything was asked; returns it."""
        self._telemetry.answered(arrival.signal, arrival.transport, code_of(outcome, arrival.transport))
        self._telemetry.turned_away(arrival.signal, arrival.transport, outcome.kind)
        return outcome

    def refuse_new(self) -> None:
        """From now on every request is answered that the collector is stopping."""
        self._stopping = True

    async def close(self, grace_s: float) -> None:
        """Wait for what was already read, at most `grace_s`; then let the threads go."""
        self.refuse_new()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        if self._tasks:
            log.warning("stopped with requests unanswered", requests=len(self._tasks))
        for threads in (self._threads, self._slow_thread):
            threads.shutdown(wait=False, cancel_futures=True)

    def _let_in(self, arrival: Arrival) -> Caller:
        """Who is sending."""
        if self._stopping:
            raise StoppingError("the collector is shutting down; send this request again")
        return self._door.admit(arrival)

    def _admitted(self, arrival: Arrival, caller: Caller) -> Lease:
        """Everything else that is decided before the body is read: whether there is room for it."""
        self._rates.check(caller.tenant)
        self._spool.check_room(arrival.signal)
        return self._admission.lease(0, caller.tenant)

    async def _handle(self, entry: Entry, wire: Wire) -> Outcome:
        """From the body to the outcome; never raises, because nobody may be listening any more."""
        arrival, caller, lease = entry.arrival, entry.caller, entry.lease
        self._telemetry.read(arrival.signal, arrival.transport, len(wire.data))
        now_ns = self._clock_ns()
        size_bytes = len(wire.data)
        try:
            seen = await self._looked_at(arrival, caller, wire, lease, now_ns)
            size_bytes = max(size_bytes, len(seen.body))
            checked = await self._checked(arrival, seen, now_ns)
            if seen.before is not None:
                return await self._known(seen.before)
            if checked is None:
                return Outcome(Kind.OK)
            if self._series is not None and arrival.signal is Signal.METRICS and checked.items:
                checked = await self._within(self._series, caller, checked)
            return await self._stored(arrival.signal, caller, checked, seen.digest, now_ns)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever happens, the sender gets an answer
            return self._outcome_of(error, arrival, caller)
        finally:
            lease.close()
            self._rates.pay(caller.tenant, size_bytes)
            self._telemetry.sent(caller.tenant, size_bytes)

    async def _checked(self, arrival: Arrival, seen: _Seen, now_ns: int) -> CheckResult | None:
        """Check what a look did not settle; None for an empty request, a success with nothing to store, and
        for one that was received before."""
        body, checked = seen.body, seen.checked
        if checked is None and seen.before is None and (body or arrival.form is Form.JSON):
            checked = await asyncio.get_running_loop().run_in_executor(
                self._slow_thread, self._closely, arrival, body, now_ns
            )
        self._telemetry.decoded(arrival.signal, arrival.transport, len(body))
        return checked

    async def _looked_at(
        self, arrival: Arrival, caller: Caller, wire: Wire, lease: Lease, now_ns: int
    ) -> _Seen:
        """Decompress and look, here if it is little work and in a thread otherwise."""

        def work(limit_bytes: int) -> _Seen:
            body = inflate(wire.encoding, wire.data, limit_bytes=limit_bytes, grow=lease.grow)
            if not body:
                return _Seen(body)
            digest = request_digest(arrival.signal, caller.tenant, _written(arrival), body)
            before = self._spool.recall(arrival.signal, digest)
            if before is not None or arrival.form is Form.JSON:
                return _Seen(body, digest, before)
            return _Seen(body, digest, None, self._look(arrival.signal, body, now_ns=now_ns))

        limit_bytes = self._settings.max_body_bytes
        small_bytes = min(self._settings.inline_bytes, limit_bytes)
        if expected_bytes(wire.encoding, wire.data) <= small_bytes:
            try:
                return work(small_bytes)
            except TooLargeError:
                # It is too large for the loop, not for us; start again in a thread with what it held before.
                lease.settle(len(wire.data))
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, limit_bytes)

    def _closely(self, arrival: Arrival, body: bytes, now_ns: int) -> CheckResult | None:
        """Check what a look did not settle."""
        if arrival.form is Form.JSON:
            if not body:
                raise BadRequestError("the body is empty; an empty request in JSON is {}")
            body = self._from_json(arrival.signal, body)
        return self._check(arrival.signal, body, now_ns=now_ns) if body else None

    async def _within(self, series: SeriesLimit, caller: Caller, checked: CheckResult) -> CheckResult:
        """What is left of a request without series beyond the tenant's limit.

        A partial success, which nobody sends again: the limit does not pass by waiting.
        """
        loop = asyncio.get_running_loop()
        marks = await loop.run_in_executor(
            self._threads, series.refused, caller.tenant, checked.body, checked.items
        )
        if marks is None:
            return checked
        body = await loop.run_in_executor(self._slow_thread, series.without, checked.body, marks)
        limited = int(marks.sum())
        self._telemetry.tenant_refused(caller.tenant, SERIES)
        return _Limited(
            body, checked.items - limited, checked.rejected + limited,
            "; ".join(filter(None, [checked.reason, series.reason(marks)])), checked.warning, checked.timed,
            checked.dropped, checked.hashed, limited,
        )  # fmt: skip

    async def _stored(
        self, signal: Signal, caller: Caller, checked: CheckResult, digest: bytes, now_ns: int
    ) -> Outcome:
        """Put it on disk and say what was done with it."""
        outcome = Outcome(Kind.OK, checked.reason or checked.warning, checked.rejected)
        if not checked.items:
            self._count(signal, checked)
            return outcome
        try:
            receipt = self._hand_over(signal, caller, checked, digest, kept(outcome), now_ns)
            if receipt.is_resend:
                # Another request in the same bytes overtook this one while it was checked.
                return await self._known(receipt)
            self._count(signal, checked)
        except Exception as error:
            self._count(signal, checked)
            self._telemetry.refused(signal, spool_kind_of(error), checked.items)
            raise
        try:
            await asyncio.wrap_future(receipt.stored)
        except Exception as error:
            self._telemetry.refused(signal, spool_kind_of(error), checked.items)
            raise
        self._telemetry.accepted(signal, checked.items)
        return outcome

    def _count(self, signal: Signal, checked: CheckResult) -> None:
        """Count what the check found, of requests that are received for the first time only."""
        limited = checked.limited if isinstance(checked, _Limited) else 0
        self._telemetry.checked(signal, checked.items, checked.rejected - limited, limited)
        self._telemetry.scrubbed(signal, checked.dropped, checked.hashed)

    def _hand_over(
        self, signal: Signal, caller: Caller, checked: CheckResult, digest: bytes, reply: bytes, now_ns: int
    ) -> Receipt:
        """Give it to the spool."""
        body, items = checked.body, checked.items
        if checked.timed:
            return self._spool.append_once(
                signal, caller.tenant, body, items=items, received_ns=now_ns, digest=digest, reply=reply
            )
        # Two records without a time may be two events in the same words.
        future = self._spool.append(signal, caller.tenant, body, items=items, received_ns=now_ns)
        return Receipt(future, is_resend=False, reply=None)

    async def _known(self, receipt: Receipt) -> Outcome:
        """What the sender was told of a request that is sent again, once the first is on disk."""
        await asyncio.wrap_future(receipt.stored)
        reply = receipt.reply
        if reply is None:
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(self._threads, self._spool.reply, receipt)
        return Outcome(Kind.OK, _REPLY_GONE) if reply is None else outcome_of(reply)

    def _outcome_of(self, error: Exception, arrival: Arrival, caller: Caller | None) -> Outcome:
        """The outcome of a refusal; anything unexpected is logged here, once, and not told to the sender."""
        outcome = outcome_of_error(error)
        if outcome is None:
            log.error(
                "an unexpected error refused a request",
                signal=arrival.signal.value,
                transport=arrival.transport.value,
                exc_info=error,
            )
            outcome = INTERNAL_ERROR
        if caller is not None:
            self._telemetry.tenant_refused(caller.tenant, outcome.kind)
        return outcome


def _written(arrival: Arrival) -> str:
    """How a request is written, for its digest: its media type, and its sender's own name for it if it has
    one."""
    key = arrival.headers.get(KEY_HEADER, "")
    return f"{arrival.form} {key}" if key else arrival.form
