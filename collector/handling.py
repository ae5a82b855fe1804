"""What is done with a body that was read: decompress, translate, look, check, store. `collector.intake` has
one.

Little work is done on the event loop, where handing it to a thread would cost more; the rest in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from collector.admission import Lease
from collector.check.series import SeriesLimit
from collector.codecs import Encoding, expected_bytes, inflate
from collector.door import Arrival, Form
from collector.errors import BadRequestError
from collector.foreign.lambda_telemetry import RESOURCE_HEADER
from collector.needs import Check, CheckResult, Look, Spool, Translate, TranslatedResult
from collector.outcomes import spool_kind_of
from collector.refusals import TooLargeError
from collector.remote_write.counting import written_in
from collector.replies import Kind, Outcome, kept, outcome_of
from collector.settings import CollectorSettings
from collector.telemetry import SERIES, Telemetry
from ingest.signals import Signal
from ingest.spool.records import Receipt, request_digest

KEY_HEADER = "idempotency-key"
"""Requests with different keys are different requests, even in the same bytes."""
_REPLY_GONE = "this request was received before; what was answered then is no longer known"


@dataclass(frozen=True, slots=True)
class Wire:
    """A request's body as it travelled."""

    data: bytes
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class Received:
    """A request that was let in and read."""

    arrival: Arrival
    tenant: str
    wire: Wire
    lease: Lease
    """What it holds of the budget; it grows with what the body is decompressed to."""
    at_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a body says."""

    body: bytes
    """OTLP, or the sender's own words as long as it is not."""
    came_bytes: int = 0
    """Decompressed, before it was translated."""
    digest: bytes = b""
    before: Receipt | None = None
    """It was received before; then it is not looked at again."""
    checked: CheckResult | None = None
    """None: that takes a closer look."""
    translated: TranslatedResult | None = None
    """Of what is no OTLP."""


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


class Handling:
    """Of all requests. What it raises says why one is refused (`collector.outcomes`)."""

    def __init__(
        self,
        settings: CollectorSettings,
        telemetry: Telemetry,
        *,
        spool: Spool,
        look: Look,
        check: Check,
        from_json: Callable[[Signal, bytes], bytes],
        from_foreign: Translate,
        series: SeriesLimit | None,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._look = look
        self._check = check
        self._from_json = from_json
        self._from_foreign = from_foreign
        self._telemetry = telemetry
        self._series = series
        self._threads = ThreadPoolExecutor(settings.cpu_threads, thread_name_prefix="collector")
        # Reading JSON and repairing take many times a body's size, and the interpreter: one at a time.
        self._slow_thread = ThreadPoolExecutor(1, thread_name_prefix="collector-slow")

    async def look(self, received: Received) -> Seen:
        """Decompress and look, here if it is little work and in a thread otherwise."""
        arrival, wire, lease = received.arrival, received.wire, received.lease

        def work(limit_bytes: int) -> Seen:
            body = inflate(wire.encoding, wire.data, limit_bytes=limit_bytes, grow=lease.grow)
            if not body:
                return Seen(body)
            size = len(body)
            digest = request_digest(arrival.signal, received.tenant, _written(arrival), body)
            before = self._spool.recall(arrival.signal, digest)
            if before is not None or arrival.form is Form.JSON or _is_read_slowly(arrival.form):
                return Seen(body, size, digest, before)
            translated = None
            if arrival.form.is_write:
                translated = self._from_foreign(arrival, body, now_ns=received.at_ns, grow=lease.grow)
                body = translated.body
            checked = self._look(arrival.signal, body, now_ns=received.at_ns) if body else None
            return Seen(body, size, digest, None, checked, translated)

        limit_bytes = self._settings.max_body_bytes
        small_bytes = min(self._settings.inline_bytes, limit_bytes)
        # The first translation may have to be compiled.
        if expected_bytes(wire.encoding, wire.data) <= small_bytes and not arrival.form.is_write:
            try:
                return work(small_bytes)
            except TooLargeError:
                # It is too large for the loop, not for us; start again in a thread with what it held before.
                lease.settle(len(wire.data))
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, limit_bytes)

    async def finish(self, received: Received, seen: Seen) -> Outcome:
        """Check what a look did not settle, store it, and say what was done with it."""
        signal = received.arrival.signal
        seen = await self._checked(received, seen)
        checked = seen.checked
        if seen.before is not None:
            return _as_told(received.arrival.form, await self._known(seen.before))
        if checked is None:
            return _as_told(received.arrival.form, self._of_nothing(signal, seen.translated))
        if self._series is not None and signal is Signal.METRICS and checked.items:
            checked = await self._within(self._series, received.tenant, checked)
        outcome = Outcome(Kind.OK, checked.reason or checked.warning, checked.rejected)
        if seen.translated is not None:
            outcome = await self._with_translation(received.arrival, outcome, checked, seen.translated)
        return _as_told(received.arrival.form, await self._stored(received, checked, seen.digest, outcome))

    def close(self) -> None:
        """Let the threads go; what they have begun they end."""
        for threads in (self._threads, self._slow_thread):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _checked(self, received: Received, seen: Seen) -> Seen:
        """Check what a look did not settle. Nothing is checked in an empty request, a success with nothing to
        store, nor in one that was received before."""
        arrival, body = received.arrival, seen.body
        if seen.checked is None and seen.before is None and (body or arrival.form is Form.JSON):
            seen = await asyncio.get_running_loop().run_in_executor(
                self._slow_thread, self._closely, received, seen
            )
        self._telemetry.decoded(arrival.signal, arrival.transport, seen.came_bytes)
        return seen

    def _of_nothing(self, signal: Signal, translated: TranslatedResult | None) -> Outcome:
        """The outcome of a request in which there is nothing to store."""
        if translated is None:
            return Outcome(Kind.OK)
        self._telemetry.checked(signal, 0, translated.refused)
        return Outcome(Kind.OK, translated.reason, translated.refused)

    async def _with_translation(
        self, arrival: Arrival, outcome: Outcome, checked: CheckResult, translated: TranslatedResult
    ) -> Outcome:
        """The outcome of a check and of the translation before it."""
        self._telemetry.checked(arrival.signal, 0, translated.refused)
        written = translated.written
        if checked.rejected and arrival.form.is_write:
            loop = asyncio.get_running_loop()
            written = await loop.run_in_executor(self._slow_thread, written_in, checked.body)
        return replace(
            outcome,
            message="; ".join(filter(None, [translated.reason, outcome.message])),
            rejected=outcome.rejected + translated.refused,
            written=written,
        )

    def _closely(self, received: Received, seen: Seen) -> Seen:
        """Check what a look did not settle."""
        arrival, body, now_ns, translated = received.arrival, seen.body, received.at_ns, seen.translated
        if arrival.form is Form.JSON:
            if not body:
                raise BadRequestError("the body is empty; an empty request in JSON is {}")
            body = self._from_json(arrival.signal, body)
        elif _is_read_slowly(arrival.form):
            translated = self._from_foreign(arrival, body, now_ns=now_ns, grow=received.lease.grow)
            body = translated.body
        checked = self._check(arrival.signal, body, now_ns=now_ns) if body else None
        return replace(seen, body=body, checked=checked, translated=translated)

    async def _within(self, series: SeriesLimit, tenant: str, checked: CheckResult) -> CheckResult:
        """What is left of a request without series beyond the tenant's limit.

        A partial success, which nobody sends again: the limit does not pass by waiting.
        """
        loop = asyncio.get_running_loop()
        marks = await loop.run_in_executor(self._threads, series.refused, tenant, checked.body, checked.items)
        if marks is None:
            return checked
        body = await loop.run_in_executor(self._slow_thread, series.without, checked.body, marks)
        limited = int(marks.sum())
        self._telemetry.tenant_refused(tenant, SERIES)
        return _Limited(
            body, checked.items - limited, checked.rejected + limited,
            "; ".join(filter(None, [checked.reason, series.reason(marks)])), checked.warning, checked.timed,
            checked.dropped, checked.hashed, limited,
        )  # fmt: skip

    async def _stored(
        self, received: Received, checked: CheckResult, digest: bytes, outcome: Outcome
    ) -> Outcome:
        """Put it on disk; the outcome if that succeeds, or what it was when this request came first."""
        signal = received.arrival.signal
        if not checked.items:
            self._count(signal, checked)
            return outcome
        try:
            receipt = self._hand_over(received, checked, digest, kept(outcome))
            if receipt.is_resend:
                # Another request in the same bytes overtook this one while it was checked.
                return await self._known(receipt)
            self._count(signal, checked)
        except Exception as error:
            self._count(signal, checked)
            self._telemetry.refused(signal, spool_kind_of(error), checked.items)
            raise
        try:
            await _on_disk(receipt)
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

    def _hand_over(self, received: Received, checked: CheckResult, digest: bytes, reply: bytes) -> Receipt:
        """Give it to the spool."""
        signal, body, items = received.arrival.signal, checked.body, checked.items
        tenant, received_ns = received.tenant, received.at_ns
        if checked.timed:
            return self._spool.append_once(
                signal, tenant, body, items=items, received_ns=received_ns, digest=digest, reply=reply
            )
        # Two records without a time may be two events in the same words.
        future = self._spool.append(signal, tenant, body, items=items, received_ns=received_ns)
        return Receipt(future, is_resend=False, reply=None)

    async def _known(self, receipt: Receipt) -> Outcome:
        """What the sender was told of a request that is sent again, once the first is on disk."""
        await _on_disk(receipt)
        reply = receipt.reply
        if reply is None:
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(self._threads, self._spool.reply, receipt)
        return Outcome(Kind.OK, _REPLY_GONE) if reply is None else outcome_of(reply)


def _written(arrival: Arrival) -> str:
    """How a request is written, for its digest: its media type, its sender's own name for it if it has one,
    and what is said beside the body."""
    key = arrival.headers.get(KEY_HEADER, "")
    said = arrival.headers.get(RESOURCE_HEADER, "") if arrival.form is Form.LAMBDA else ""
    return " ".join(filter(None, [arrival.form, key, said]))


def _is_read_slowly(form: Form) -> bool:
    """Whether its translation takes many times its size, and the interpreter."""
    return form.is_foreign and not form.is_write


def _as_told(form: Form, outcome: Outcome) -> Outcome:
    """Remote write knows no success of a part (Remote-Write 2.0, "Partial Write")."""
    return replace(outcome, kind=Kind.PARTIAL) if form.is_write and outcome.rejected else outcome


def _on_disk(receipt: Receipt) -> asyncio.Future[None]:
    """Done in this loop once the spool's thread is done, in a third of the time of `asyncio.wrap_future`."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if done.cancelled():
            return
        if receipt.stored.cancelled():
            done.cancel()
            return
        error = receipt.stored.exception()
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(settle)

    receipt.stored.add_done_callback(wake)
    return done
