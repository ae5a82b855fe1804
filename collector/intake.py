"""The way in, without a transport: who may come in, how much at once, and what every request ends with. The
receivers call `Intake.serve`, or its steps; `collector.handling` does what is done with a body.

A success is returned only after the spool says the body is on disk. The trap is cancellation: a gRPC
client's deadline cancels the handler at any await. From the moment a body has been read it is therefore
handled in a task of its own, so that its bytes stay counted until they are on disk, and its items are counted
once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from collector.admission import Admission, Lease
from collector.check.series import SeriesLimit
from collector.door import Arrival, Caller, Door, Transport
from collector.handling import Handling, Received, Wire
from collector.needs import Check, Look, Spool, Translate
from collector.outcomes import INTERNAL_ERROR, code_of, outcome_of_error
from collector.rates import Rates
from collector.refusals import SlowSenderError, StoppingError
from collector.replies import Outcome
from collector.settings import CollectorSettings
from collector.telemetry import Telemetry
from ingest.signals import Signal

log = structlog.get_logger(__name__)


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
        from_foreign: Translate,
        door: Door,
        telemetry: Telemetry,
        series: SeriesLimit | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock_ns` tells the time of day, `clock` how many seconds pass."""
        self._settings = settings
        self._spool = spool
        self._door = door
        self._telemetry = telemetry
        self._clock_ns = clock_ns
        self._admission = Admission(
            settings.max_inflight_bytes, common_bytes=settings.common_inflight_bytes, clock=clock
        )
        self._rates = Rates(settings.tenant_bytes_per_s, settings.tenant_burst_bytes, clock=clock)
        self._handling = Handling(
            settings, telemetry, spool=spool, look=look, check=check, series=series,
            from_json=from_json, from_foreign=from_foreign,
        )  # fmt: skip
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
        return await self.finish(entry, wire)

    async def finish(self, entry: Entry, wire: Wire) -> Outcome:
        """Handle a request whose body is there. What was begun is done to its end also if the caller is
        cancelled; nothing else is raised."""
        try:
            return self.answered(entry, await asyncio.shield(self.handle(entry, wire)))
        except asyncio.CancelledError:
            self._count_answer(entry.arrival, "cancelled", entry.began)
            raise

    # --- the same in steps, for a receiver without a task of its own

    def enter(self, arrival: Arrival, caller: Caller | None = None) -> Entry | Outcome:
        """Decide all that is decided before the body is read; an outcome is a refusal. With a caller nobody
        is asked who it is (`collector.own`)."""
        began = time.perf_counter()
        try:
            self._refuse_if_stopping()
            caller = caller or self._door.admit(arrival)
            return Entry(arrival, caller, self._admitted(arrival.signal, caller.tenant), began)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever happens, the sender gets an answer
            return self._ended(arrival, self._outcome_of(error, arrival, caller), began)

    def too_slow(self) -> SlowSenderError:
        """Why a request is refused whose body takes longer than it may."""
        seconds = self._settings.body_timeout_s
        return SlowSenderError(f"the request's body did not arrive within {seconds:g} seconds")

    def refused(self, entry: Entry, why: Exception | Outcome) -> Outcome:
        """End a request whose body could not be read."""
        entry.lease.close()
        return self._ended(entry.arrival, self._outcome_of(why, entry.arrival, entry.caller), entry.began)

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

    def turn_away(self, signal: Signal | None, transport: Transport, outcome: Outcome) -> Outcome:
        """Count a refusal that a receiver decided on by itself, before anything was asked; returns it."""
        self._telemetry.answered(signal, transport, code_of(outcome, transport))
        self._telemetry.turned_away(signal, transport, outcome.kind)
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
        self._handling.close()

    def _refuse_if_stopping(self) -> None:
        if self._stopping:
            raise StoppingError("the collector is shutting down; send this request again")

    def hold(self, tenant: str) -> Lease:
        """Room for what is fetched on behalf of a tenant, nothing at first. Raises what `enter` would answer:
        StoppingError, TooFastError, OverloadedError or the spool's errors."""
        self._refuse_if_stopping()
        return self._admitted(Signal.METRICS, tenant)

    def _admitted(self, signal: Signal, tenant: str) -> Lease:
        """Everything else that is decided before the body is read: whether there is room for it."""
        self._rates.check(tenant)
        self._spool.check_room(signal)
        return self._admission.lease(0, tenant)

    async def _handle(self, entry: Entry, wire: Wire) -> Outcome:
        """From the body to the outcome; never raises, because nobody may be listening any more."""
        arrival, caller, lease = entry.arrival, entry.caller, entry.lease
        self._telemetry.read(arrival.signal, arrival.transport, len(wire.data))
        received = Received(arrival, caller.tenant, wire, lease, self._clock_ns())
        size_bytes = len(wire.data)
        try:
            seen = await self._handling.look(received)
            size_bytes = max(size_bytes, seen.came_bytes)
            return await self._handling.finish(received, seen)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever happens, the sender gets an answer
            return self._outcome_of(error, arrival, caller)
        finally:
            lease.close()
            self._rates.pay(caller.tenant, size_bytes)
            self._telemetry.sent(caller.tenant, size_bytes)

    def _outcome_of(self, why: Exception | Outcome, arrival: Arrival, caller: Caller | None) -> Outcome:
        """The outcome of a refusal; anything unexpected is logged here, once, and not told to the sender."""
        outcome = why if isinstance(why, Outcome) else outcome_of_error(why)
        if outcome is None:
            log.error(
                "an unexpected error refused a request",
                signal=arrival.signal.value,
                transport=arrival.transport.value,
                exc_info=why,
            )
            outcome = INTERNAL_ERROR
        if caller is not None:
            self._telemetry.tenant_refused(caller.tenant, outcome.kind)
        return outcome
