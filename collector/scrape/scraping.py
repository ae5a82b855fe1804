"""One target, scrape after scrape: fetch, read, store, remember which series there were.

A target is asked at the same place of each interval, which is a hash of what it is, so that many are spread
evenly, and stay where they are when others come and go. What a scrape brings has the time at which it began.
The trap: what could not be stored may be there in part, so its series are remembered beside those of before,
else the end of one could be lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from hashlib import blake2b
from typing import Final

import structlog

from collector.codecs import inflate
from collector.errors import BadRequestError
from collector.own import WayIn
from collector.refusals import RefusedError, TooLargeError
from collector.replies import Kind
from collector.scrape.errors import Reason, ScrapeError
from collector.scrape.fetch import Fetched, Fetcher, shown
from collector.scrape.reading import Pages, Series, Written
from collector.scrape.settings import Format, ScrapeJob
from collector.scrape.targets import Target
from collector.scrape.telemetry import ScrapeTelemetry
from ingest.spool.errors import SpoolError

log = structlog.get_logger(__name__)

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_CLOSE_MS: Final = 2
"""A scrape that begins so close to its time has exactly that, which packs better."""


def offset_of(target: Target, interval_ns: int) -> int:
    """Where in its interval a target is scraped, in ns."""
    text = repr((target.job, target.url, target.labels))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % interval_ns


def next_due_ns(now_ns: int, last_ns: int, interval_ns: int, offset_ns: int) -> int:
    """When the scrape after the one at `last_ns` is due. Clocks may jump, and sleepers wake early."""
    due = now_ns + (offset_ns - now_ns) % interval_ns
    return due + interval_ns if due == last_ns else due


class Scraping:
    """The scrapes of one target."""

    def __init__(
        self,
        job: ScrapeJob,
        target: Target,
        *,
        fetcher: Fetcher,
        way_in: WayIn,
        telemetry: ScrapeTelemetry,
        reader: Executor,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.target = target
        self.is_wanted = True
        """Set to False, it ends its series when it would be scraped next, if it is not wanted by then."""
        self._job = job
        self._fetcher = fetcher
        self._way_in = way_in
        self._telemetry = telemetry
        self._reader = reader
        self._clock_ns = clock_ns
        self._pages = Pages(job, target)
        self._series: Series = {}
        self._was_scraped = False
        self._failing: Reason | None = None
        self._formats = job.formats
        """To ask for."""

    async def run(self) -> None:
        """Scrape until the target is no longer wanted. Raises nothing but cancellation."""
        interval_ns = int(self._job.interval_s * _NS)
        offset_ns = offset_of(self.target, interval_ns)
        last_ns = 0
        while True:
            now_ns = self._clock_ns()
            due_ns = next_due_ns(now_ns, last_ns, interval_ns, offset_ns)
            missed = (due_ns - last_ns) // interval_ns - 1
            if last_ns and 0 < missed <= 1000:
                self._telemetry.failed(self._job.name, Reason.SKIPPED, missed)
            await asyncio.sleep((due_ns - now_ns) / _NS)
            last_ns = due_ns
            if not self.is_wanted:
                await self.end(due_ns)
                return
            try:
                await self.scrape(due_ns)
            except Exception:
                # The boundary: whatever is wrong with one scrape, there is a next one.
                self._telemetry.failed(self._job.name, Reason.INTERNAL)
                log.exception("A scrape failed unexpectedly", **self._named())

    async def scrape(self, due_ns: int) -> None:
        """Scrape once, and store what is found and how it went."""
        at_ns = self._clock_ns()
        at_ms, due_ms = at_ns // _MS, due_ns // _MS
        if abs(at_ms - due_ms) <= _CLOSE_MS:
            at_ms = due_ms
        began = time.monotonic()
        self._telemetry.scraped(self._job.name)
        failure: ScrapeError | None = None
        try:
            written = await self._read(at_ms, began + self._job.timeout_s)
        except ScrapeError as error:
            failure = error
            written = await self._in_thread(lambda: self._pages.ended(self._series, at_ms=at_ms))
        self._note(failure)
        report = {
            "up": float(failure is None),
            "scrape_duration_seconds": time.monotonic() - began,
            "scrape_samples_scraped": float(written.scraped),
            "scrape_series_added": float(written.added),
        }
        self._telemetry.refused(self._job.name, "duplicate", written.duplicates)
        is_stored = await self._store(written)
        self._was_scraped |= await self._store_one(*self._pages.report(report, at_ms=at_ms))
        self._series = written.series if is_stored else self._series | written.series

    async def end(self, due_ns: int) -> None:
        """End all series, those about the scrapes too."""
        before = self._series | (self._pages.reports() if self._was_scraped else {})
        await self._store(await self._in_thread(lambda: self._pages.ended(before, at_ms=due_ns // _MS)))

    async def _read(self, at_ms: int, deadline: float) -> Written:
        """Fetch and read a page. Raises ScrapeError."""
        try:
            with self._way_in.hold(self._job.tenant) as lease:
                try:
                    async with asyncio.timeout(self._job.timeout_s):
                        fetched = await self._fetcher.fetch(self.target.url, lease.grow, self._formats)
                except TimeoutError as error:
                    raise ScrapeError(
                        Reason.TIMEOUT, f"the page was not there within {self._job.timeout_s:g} s"
                    ) from error
                return await self._in_thread(lambda: self._read_page(fetched, lease.grow, at_ms, deadline))
        except (RefusedError, SpoolError) as error:
            raise ScrapeError(Reason.OVERLOADED, f"there is no room for a page: {error}") from error

    def _read_page(
        self, fetched: Fetched, grow: Callable[[int], None], at_ms: int, deadline: float
    ) -> Written:
        limit = self._job.max_body_bytes
        try:
            body = inflate(fetched.encoding, fetched.data, limit_bytes=limit, grow=grow)
        except TooLargeError as error:
            raise ScrapeError(
                Reason.TOO_LARGE, f"the page is larger than max_body_bytes, {limit}, decompressed"
            ) from error
        except BadRequestError as error:
            raise ScrapeError(Reason.ENCODING, f"the page cannot be decompressed: {error}") from error
        try:
            return self._pages.read(body, fetched.format, at_ms=at_ms, before=self._series, deadline=deadline)
        except ScrapeError as error:
            rest = tuple(one for one in self._formats if one is not Format.OPENMETRICS)
            if error.reason is not Reason.PARSE or fetched.format is not Format.OPENMETRICS or not rest:
                raise
            # Many call OpenMetrics what only looks like it: a proxy's page behind an application's.
            self._formats = rest
            raise ScrapeError(Reason.PARSE, f"{error}; from now on it is asked for text") from error

    async def _store(self, written: Written) -> bool:
        """Store all of it; whether that succeeded for all requests."""
        is_stored = True
        for body, samples in written.bodies:
            is_stored &= await self._store_one(body, samples)
        return is_stored

    async def _store_one(self, body: bytes, samples: int) -> bool:
        """Whether it is stored, but for single samples that never can be."""
        self._telemetry.samples(self._job.name, samples)
        outcome = await self._way_in.store(self._job.tenant, body)
        if outcome.kind is Kind.OK:
            return True
        is_part = outcome.kind is Kind.PARTIAL
        reason = "check" if is_part else outcome.kind.value
        self._telemetry.refused(self._job.name, reason, outcome.rejected if is_part else samples)
        log.warning("Scraped samples were not stored", why=outcome.message, **self._named())
        return is_part

    def _note(self, failure: ScrapeError | None) -> None:
        """Count a failure, and log when a target begins to fail, fails otherwise, or answers again."""
        reason = None if failure is None else failure.reason
        if reason is not None:
            self._telemetry.failed(self._job.name, reason)
        if reason is not self._failing:
            if failure is not None:
                log.warning("A target cannot be scraped", why=str(failure), **self._named())
            else:
                log.info("A target answers again", **self._named())
        self._failing = reason

    def _named(self) -> dict[str, str]:
        return {"job": self.target.job, "target": shown(self.target.url)}

    async def _in_thread(self, work: Callable[[], Written]) -> Written:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)
