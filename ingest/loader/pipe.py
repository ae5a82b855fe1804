"""Moves one signal from the spool into the store, batch after batch. A thread of its own, which
`ingest.loader.loader` starts for each signal, and one for each batch under way: while the engine reads one,
which a single core does, it writes another.

A batch is fixed in the spool before its first attempt and repeated with the same token until the store has
it, so that whatever dies in between, every record arrives exactly once. What the store cannot read is
divided until the request at fault is found, and put into quarantine; each step is in the spool before it is
taken.

The trap: no other error ends a batch. One that the store refuses for another reason is repeated for ever,
slowly and loudly: some of its tables may have the batch already, and a batch of other records would double
that.
"""

from __future__ import annotations

import math
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

import structlog

from ingest.loader.lead import Lead
from ingest.loader.pieces import items_in, pieces_of
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.errors import SpoolFullError, SpoolReadError
from ingest.spool.spool import Batch, Spool, SpoolRecord
from ingest.store.errors import StoreDamagedError, StoreDecodeError, StoreError
from ingest.store.known_series import NOTHING, Looked
from ingest.store.otlp import Request
from ingest.unfolded import unfolded_bytes

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_IDLE_WAIT_S = 0.25
_FIRST_RETRY_S = 0.1
_FADES = 0.8
_READ_BYTES = 4 * 1024 * 1024
"""Read from the spool at a time: what was read behind the end of a batch is read again for the next."""


class Writer(Protocol):
    """What the pipe needs of the store."""

    def look(self, signal: Signal, tenant: str, body: bytes) -> Looked | None:
        """Which of a request's points take less than others; None of what has no points."""

    def insert(self, signal: Signal, batch_id: int, token: str, requests: list[Request]) -> None:
        """Insert a batch once, however often it is called. Raises StoreError."""

    def holds(self, signal: Signal, batch_id: int) -> bool:
        """Whether the store has a row of a batch. Raises StoreError."""


@dataclass(slots=True)
class PipeStatus:
    """Where a signal stands. Written by its threads, read by anyone."""

    inserted_batches: int = 0
    inserted_requests: int = 0
    inserted_items: int = 0
    last_insert_at_ns: int = 0
    """When the last batch was stored, ns since 1970; 0 for never."""
    quarantined_requests: int = 0
    quarantined_items: int = 0
    failed: str = ""
    """Why this thread has ended; empty while it runs or after it was asked to."""
    bytes_per_s: float | None = None
    """How fast the last batches were stored; None if none was."""
    _held_up: dict[int, tuple[float, str]] = field(default_factory=dict)
    """By thread, what is held up: since when, by the monotonic clock, and why."""
    _lately: tuple[float, float] = (0.0, 0.0)
    """Bytes and seconds of them, each batch counting less than the one after it."""
    _last_s: float = 0.0

    @property
    def error(self) -> str:
        """What has been held up longest, and why; empty when nothing is."""
        return min(self._held_up.copy().values(), default=(0.0, ""))[1]

    @property
    def held_up_since_s(self) -> float:
        """Since when, by the monotonic clock; 0 when nothing is."""
        return min(self._held_up.copy().values(), default=(0.0, ""))[0]

    def hold_up(self, error: str) -> None:
        """What this thread tries has failed."""
        thread = threading.get_ident()
        since_s, _ = self._held_up.get(thread, (time.monotonic(), ""))
        self._held_up[thread] = since_s, error

    def go_on(self) -> None:
        """What this thread tries has succeeded, or was given up."""
        self._held_up.pop(threading.get_ident(), None)

    def timed(self, size: int, started_s: float, ended_s: float) -> None:
        """A batch of so many bytes was stored between these, by the monotonic clock; what lies before the end
        of another was its time."""
        took_s = ended_s - max(started_s, self._last_s)
        self._last_s = ended_s
        size_before, took_before_s = self._lately
        self._lately = size + size_before * _FADES, took_s + took_before_s * _FADES
        if self._lately[0] > 0 and self._lately[1] > 0:
            self.bytes_per_s = self._lately[0] / self._lately[1]


@dataclass(slots=True)
class Pipe:
    """One signal's way. `run` is the thread; `drain` and `halt` end it."""

    signal: Signal
    spool: Spool
    writer: Writer
    settings: LoaderSettings
    metrics: LoaderMetrics
    drain: threading.Event
    """Set: no pauses any more, and the end when nothing is left."""
    halt: threading.Event
    """Set: the end, after the attempt that is under way."""
    lead: Lead = field(default_factory=Lead)
    """Shared by all pipes of a store."""
    status: PipeStatus = field(default_factory=PipeStatus)
    _under_way: set[_Attempt] = field(default_factory=set)
    _ended: queue.SimpleQueue[_Attempt] = field(default_factory=queue.SimpleQueue)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.metrics.watch(self.signal, self.held_up_s, self.batches_under_way)

    def run(self) -> None:
        """Until told to end. What cannot be got over by trying again ends it and stays in the status."""
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - the thread's last place: it becomes a status and a log line
            self.status.failed = f"{type(error).__name__}: {error}"
            _log.exception("Loading stopped", signal=self.signal)
        for attempt in self._under_way:
            attempt.join()
        self._under_way.clear()

    def _run(self) -> None:
        for batch in self.spool.unfinished_batches():
            if batch.signal == self.signal and not self._repeat(batch):
                return
        while not self.halt.is_set():
            if not self._next() and self.drain.is_set():
                if not self._under_way:
                    return
                self._wait(0)
        self._wait(0)

    def held_up_s(self) -> float:
        """For how long attempts at the same thing have failed; 0 if they have not."""
        since_s = self.status.held_up_since_s
        return time.monotonic() - since_s if since_s else 0.0

    def batches_under_way(self) -> int:
        """How many batches' records are held in memory."""
        return len(self._under_way)

    def _repeat(self, batch: Batch) -> bool:
        """Store a batch that an earlier process began; False if told to end before."""
        records = self._until_done(lambda: self.spool.read_batch(batch), "read a batch from the spool")
        if records is None:
            return False
        self._attempt(batch, records, {})
        self._wait(0)
        return not self.halt.is_set()

    def _next(self) -> bool:
        """Begin to store the next batch; False if nothing was waiting."""
        self._wait(self.settings.inserts_at_once)
        after = self.spool.cursor(self.signal)
        if not self.spool.wait_for(self.signal, after, 0.0 if self.drain.is_set() else _IDLE_WAIT_S):
            return False
        self._wait(self.settings.inserts_at_once - 1)
        self._wait_for_lead()
        if self.halt.is_set():
            return False
        started = time.monotonic()
        taken = self._until_done(lambda: self._take(after), "begin a batch")
        if taken is None:
            return False
        batch, gathered = taken
        if batch is None:
            return False
        self._attempt(batch, gathered.records, gathered.looks)
        if gathered.emptied:
            self._pause(started, self._filling(gathered))
        return True

    def _attempt(self, batch: Batch, records: list[SpoolRecord], looks: Mapping[int, Looked]) -> None:
        """Store a batch in a thread of its own."""
        attempt = _Attempt(lambda: self._store(batch, records, looks), self._ended)
        self._under_way.add(attempt)
        attempt.start()

    def _wait_for_lead(self) -> None:
        """Until another batch may be begun, or told to end. Raises what ends an attempt meanwhile."""
        while (held_by := self.lead.held_by(_IDLE_WAIT_S)) is not None and not self.halt.is_set():
            self.status.hold_up(
                f"nothing more is begun before batch {held_by} is stored: else the store would forget what it"
                " has of it"
            )
            self._wait(self.settings.inserts_at_once - 1)
        self.status.go_on()

    def _wait(self, left: int) -> None:
        """Forget batches that have ended, and wait until no more than so many are under way. Raises what
        ended one of them."""
        while len(self._under_way) > left or not self._ended.empty():
            ended = self._ended.get()
            self._under_way.remove(ended)
            if ended.error is not None:
                raise ended.error

    def _take(self, after_seq: int) -> tuple[Batch | None, _Gathered]:
        """The next batch, fixed in the spool, and what is in it. No batch if no record could be read."""
        gathered = self._gather(after_seq)
        records = gathered.records
        return (self.spool.begin_batch(self.signal, records) if records else None), gathered

    def _gather(self, after_seq: int) -> _Gathered:
        """As many of the next records as are inserted together, one at least if there is one."""
        settings = self.settings
        found = _Gathered()
        while found.body_bytes < settings.batch_bytes and len(found.records) < settings.batch_requests:
            more = self.spool.read(
                self.signal,
                found.records[-1].seq if found.records else after_seq,
                max_bytes=min(_READ_BYTES, settings.batch_bytes - found.body_bytes),
                max_records=settings.batch_requests - len(found.records),
            )
            if not more:
                found.emptied = True
                return found
            for record in more:
                looked = self.writer.look(self.signal, record.tenant, record.body)
                body_bytes = found.body_bytes + len(record.body)
                memory_bytes = found.memory_bytes + unfolded_bytes(
                    self.signal, record.body, (looked or NOTHING).known
                )
                is_over = body_bytes > settings.batch_bytes or memory_bytes > settings.batch_memory_bytes
                if is_over and found.records:
                    return found
                found.body_bytes, found.memory_bytes = body_bytes, memory_bytes
                found.records.append(record)
                if looked is not None:
                    found.looks[record.seq] = looked
        return found

    def _filling(self, gathered: _Gathered) -> int:
        """How many requests like these fill a batch, about."""
        settings, count = self.settings, len(gathered.records)
        filled = max(
            gathered.body_bytes / settings.batch_bytes,
            gathered.memory_bytes / settings.batch_memory_bytes,
            count / settings.batch_requests,
        )
        return max(1, math.ceil(count / filled))

    def _pause(self, started: float, enough: int) -> None:
        """Let small batches grow: each leaves a part in every table. Over when so many requests wait."""
        ends = started + self.settings.interval_ms / 1000
        after = self.spool.cursor(self.signal)
        while (left := ends - time.monotonic()) > 0 and not (self.drain.is_set() or self.halt.is_set()):
            if self.spool.wait_for(self.signal, after, min(left, _IDLE_WAIT_S), enough):
                return

    def _store(self, batch: Batch, records: list[SpoolRecord], looks: Mapping[int, Looked]) -> bool:
        """Insert until it is stored; False if told to end before."""
        self.lead.begin(batch.batch_id)
        taken = _Taken.of(batch, records, looks)

        def insert() -> tuple[float, float] | StoreDecodeError:
            started = time.monotonic()
            # All of a batch can be lost in the spool since it was begun; the spool has reported that.
            if taken.requests:
                try:
                    self.writer.insert(self.signal, batch.batch_id, batch.token, taken.requests)
                except StoreDecodeError as error:
                    if self.writer.holds(self.signal, batch.batch_id):
                        raise
                    return error
            return started, time.monotonic()

        done = self._until_done(insert, f"store batch {batch.batch_id}")
        if done is None:
            return False
        if isinstance(done, StoreDecodeError):
            self.lead.end(batch.batch_id)  # nothing of it is stored, and its token is not used again
            return self._divide(batch, records, taken, done)
        self.spool.finish_batch(batch)
        self.lead.inserted(batch.batch_id)
        self._count(taken, *done)
        return True

    def _divide(
        self, batch: Batch, records: list[SpoolRecord], taken: _Taken, error: StoreDecodeError
    ) -> bool:
        """Part from the rest what the store cannot read; False if told to end before."""
        cut = self._until_done(lambda: self._cut(batch, records, taken, error), "divide a batch")
        if cut is None:
            return False
        return all(
            self._store(part, [each for each in records if part.first_seq <= each.seq <= part.last_seq], {})
            for part in cut
        )

    def _cut(
        self, batch: Batch, records: list[SpoolRecord], taken: _Taken, error: StoreDecodeError
    ) -> Sequence[Batch]:
        """Two batches in place of one, by request, then by resource; none if there was nothing left to cut,
        and it was put into quarantine."""
        if batch.first_seq < batch.last_seq:
            return self.spool.split_batch(batch, last_seq=_middle(batch, records))
        pieces = pieces_of(records[0].body)
        first, last = batch.pieces or (1, len(pieces))
        if first < last:
            return self.spool.split_record(batch, last_piece=(first + last - 1) // 2, pieces=len(pieces))
        self.spool.hold(
            batch, records[0], taken.requests[0].body, items=taken.items, reason=f"the store: {error}"
        )
        self.spool.finish_batch(batch)
        with self._counting:
            self.status.quarantined_requests += taken.whole
            self.status.quarantined_items += taken.items
        self.metrics.quarantined.labels(self.signal).inc()
        self.metrics.quarantined_items.labels(self.signal).inc(taken.items)
        return ()

    def _until_done(self, attempt: Callable[[], T], what: str) -> T | None:
        """Try until it succeeds, with growing pauses; None if told to end before."""
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                done = attempt()
            except StoreDamagedError:
                raise
            except (StoreError, SpoolFullError, SpoolReadError) as error:
                self.status.hold_up(f"could not {what}: {error}")
                self.metrics.retries.labels(self.signal).inc()
                _log.warning(
                    "Loading is held up and will be tried again",
                    signal=self.signal, what=what, pause_s=round(pause_s, 1), error=str(error),
                )  # fmt: skip
            else:
                self.status.go_on()
                return done
            if self.halt.wait(pause_s * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads retries, no secret
                return None
            pause_s = min(pause_s * 2, self.settings.retry_max_s)

    def _count(self, taken: _Taken, started_s: float, ended_s: float) -> None:
        with self._counting:
            self.status.inserted_batches += 1
            self.status.inserted_requests += taken.whole
            self.status.inserted_items += taken.items
            self.status.last_insert_at_ns = time.time_ns()
            self.status.timed(taken.size, started_s, ended_s)
        self.metrics.stored(self.signal, taken.whole, taken.items, taken.size, ended_s - started_s)


class _Attempt(threading.Thread):
    """Stores one batch, and says so when it has ended."""

    def __init__(self, store: Callable[[], object], ended: queue.SimpleQueue[_Attempt]) -> None:
        super().__init__(name="load-batch", daemon=True)
        self._store = store
        self._ended = ended
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._store()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
            self.error = error
        self._ended.put(self)


@dataclass(slots=True)
class _Gathered:
    """What is to be a batch."""

    records: list[SpoolRecord] = field(default_factory=list)
    looks: dict[int, Looked] = field(default_factory=dict)
    """By the number of the record, of those that have points."""
    body_bytes: int = 0
    memory_bytes: int = 0
    emptied: bool = False
    """Nothing waits behind them."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is inserted of a batch, and how it counts."""

    requests: list[Request]
    whole: int
    """Requests: one that is stored in pieces counts with its last."""
    items: int
    size: int

    @classmethod
    def of(cls, batch: Batch, records: list[SpoolRecord], looks: Mapping[int, Looked]) -> Self:
        """All of the records, or the pieces of the only one."""
        if batch.pieces is None or not records:
            requests = [
                Request(record.tenant, record.received_ns, record.body, looks.get(record.seq))
                for record in records
            ]
            items = sum(record.items for record in records)
            return cls(requests, len(records), items, sum(len(record.body) for record in records))
        (record,) = records
        first, last = batch.pieces
        pieces = pieces_of(record.body)
        body = b"".join(pieces[first - 1 : last])
        return cls(
            [Request(record.tenant, record.received_ns, body)],
            int(last == len(pieces)),
            items_in(batch.signal, body),
            len(body),
        )


def _middle(batch: Batch, records: list[SpoolRecord]) -> int:
    """Where to cut a batch of several numbers. If all but one of them are lost, that one is set apart."""
    if len(records) > 1:
        return records[len(records) // 2 - 1].seq
    return records[0].seq - 1 if records[0].seq > batch.first_seq else records[0].seq
