"""All scraping, as one component: the targets of all jobs, each in a task of its own, and looks at the files
of targets. `lowtide serve` makes, starts and stops it.

When the server stops, series are not ended, as in Prometheus: it will be back. The trap: the collector must
be there as long as this runs.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog
from prometheus_client import CollectorRegistry

from collector.own import WayIn
from collector.scrape.fetch import Fetcher
from collector.scrape.file_sd import TargetFiles
from collector.scrape.scraping import Scraping
from collector.scrape.settings import ScrapeJob, ScrapeSettings
from collector.scrape.targets import Target, targets_of
from collector.scrape.telemetry import ScrapeTelemetry

log = structlog.get_logger(__name__)


class Scraper:
    """Scrapes what the settings name. Starts once."""

    def __init__(self, settings: ScrapeSettings, *, way_in: WayIn, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._way_in = way_in
        self._telemetry = ScrapeTelemetry(registry)
        # One: reading is Python, and two would only take turns.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._jobs: list[_Job] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin. Raises ScrapeStartError if a file that a setting names cannot be used."""
        self._jobs = await asyncio.to_thread(self._make_jobs)
        self._tasks = [asyncio.create_task(self._watch(job)) for job in self._jobs]

    async def stop(self) -> None:
        """Scrape nothing more."""
        tasks = [*self._tasks, *(task for job in self._jobs for task in job.tasks.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job in self._jobs:
            await job.fetcher.close()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _make_jobs(self) -> list[_Job]:
        return [
            _Job(
                job,
                Fetcher(job, f"scrape.jobs[{number}]"),
                TargetFiles(job.file_sd, lambda name=job.name: self._telemetry.file_failed(name)),  # type: ignore[misc]
            )
            for number, job in enumerate(self._settings.jobs)
        ]

    async def _watch(self, job: _Job) -> None:
        """Keep to the targets that there are."""
        while True:
            try:
                groups = await asyncio.to_thread(job.files.look)
                self._keep_to(job, dict.fromkeys(targets_of(job.settings, groups)))
            except Exception:
                # The boundary: the targets there were are scraped on.
                log.exception("Targets could not be found", job=job.settings.name)
            if not job.settings.file_sd:
                return
            await asyncio.sleep(self._settings.file_sd_look_s)

    def _keep_to(self, job: _Job, targets: dict[Target, None]) -> None:
        for target, scraping in job.scrapings.items():
            scraping.is_wanted = target in targets
        for target in targets:
            if target not in job.scrapings:
                self._begin(job, target)
        self._telemetry.targets(job.settings.name, len(targets))

    def _begin(self, job: _Job, target: Target) -> None:
        scraping = Scraping(
            job.settings, target, fetcher=job.fetcher, way_in=self._way_in, telemetry=self._telemetry,
            reader=self._reader,
        )  # fmt: skip
        task = asyncio.create_task(scraping.run())
        job.scrapings[target] = scraping
        job.tasks[target] = task
        task.add_done_callback(lambda _: job.forget(target))


class _Job:
    """A job that runs."""

    def __init__(self, settings: ScrapeJob, fetcher: Fetcher, files: TargetFiles) -> None:
        self.settings = settings
        self.fetcher = fetcher
        self.files = files
        self.scrapings: dict[Target, Scraping] = {}
        self.tasks: dict[Target, asyncio.Task[None]] = {}

    def forget(self, target: Target) -> None:
        """A target has come to its end."""
        self.scrapings.pop(target, None)
        self.tasks.pop(target, None)
