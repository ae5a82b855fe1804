"""What the scraper counts of itself. Jobs are the labels; what a target says of itself is stored with it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from collector.scrape.errors import Reason


class ScrapeTelemetry:
    """The scraper's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._targets = Gauge(
            "lowtide_scrape_targets", "Targets that are scraped.", ["job"], registry=registry
        )
        self._scrapes = Counter(
            "lowtide_scrape_attempts", "Scrapes, failed ones too.", ["job"], registry=registry
        )
        self._failures = Counter(
            "lowtide_scrape_failures", "Scrapes that brought nothing, by reason.", ["job", "reason"],
            registry=registry,
        )  # fmt: skip
        self._samples = Counter(
            "lowtide_scrape_samples", "Samples that were fetched, or made of a scrape.", ["job"],
            registry=registry,
        )  # fmt: skip
        self._refused = Counter(
            "lowtide_scrape_samples_refused", "Of these: not stored, by reason.", ["job", "reason"],
            registry=registry,
        )  # fmt: skip
        self._files = Counter(
            "lowtide_scrape_file_sd_failures",
            "Files of targets that could not be used, each time one changed.", ["job"], registry=registry,
        )  # fmt: skip

    def targets(self, job: str, count: int) -> None:
        """So many targets of a job are scraped now."""
        self._targets.labels(job).set(count)

    def scraped(self, job: str) -> None:
        """Count a scrape."""
        self._scrapes.labels(job).inc()

    def failed(self, job: str, reason: Reason, times: int = 1) -> None:
        """Count scrapes that brought nothing."""
        self._failures.labels(job, reason).inc(times)

    def samples(self, job: str, count: int) -> None:
        """Count samples."""
        self._samples.labels(job).inc(count)

    def refused(self, job: str, reason: str, count: int) -> None:
        """Count samples that are not stored."""
        if count:
            self._refused.labels(job, reason).inc(count)

    def file_failed(self, job: str) -> None:
        """Count a file of targets that cannot be used."""
        self._files.labels(job).inc()
