"""From a page to what is stored: remote write requests with the samples of the page, an end for each series
that was there before and is not any more, and what Prometheus says of each scrape by itself.

`scrape_samples_post_metric_relabeling` is not among that: nothing is relabelled here, so it would always be
`scrape_samples_scraped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.remote_write.message import STALE, Described, Example, Point, RequestWriter
from collector.scrape.labels import NAME, Key, Pairs, key_of, pairs_of, put_together, refuse_labels
from collector.scrape.page import Found, read_page
from collector.scrape.settings import Format, ScrapeJob
from collector.scrape.targets import Target

REQUEST_BYTES: Final = 8 * 1024 * 1024
"""A request is closed when it has about so many, so that a large page is not held twice."""
Series = dict[Key, Described]
"""Series, with what they were described as: the end of a counter is stored with the counter."""
REPORTS: Final = {
    "up": Described("gauge", "1 if the target could be scraped, 0 if not."),
    "scrape_duration_seconds": Described("gauge", "Time that the scrape took.", "seconds"),
    "scrape_samples_scraped": Described("gauge", "Samples that the target showed."),
    "scrape_series_added": Described("gauge", "Series that were not there with the scrape before."),
}
"""The series that are about a scrape."""


@dataclass(slots=True)
class Written:
    """What a scrape leaves to be stored."""

    bodies: list[tuple[bytes, int]] = field(default_factory=list)
    """Remote write 2.0 requests, each with how many samples are in it."""
    series: Series = field(default_factory=dict)
    """Those that must be ended once they are gone. Prometheus does not end what has times of its own."""
    scraped: int = 0
    added: int = 0
    duplicates: int = 0
    """Samples of the page that were left out, because their series had one already."""


class Pages:
    """Reads the pages of one target. May be slow; holds nothing of them between two scrapes but keys."""

    def __init__(self, job: ScrapeJob, target: Target) -> None:
        self._job = job
        self._labels: Mapping[str, str] = dict(target.labels)

    def read(self, body: bytes, written: Format, *, at_ms: int, before: Series, deadline: float) -> Written:
        """What a page says, with an end for those `before` that it does not name. Raises ScrapeError."""
        found = Written()
        writer = RequestWriter()
        everything: set[Key] = set()
        page = read_page(body, written, max_samples=self._job.max_samples, deadline=deadline)
        for sample in page:
            found.scraped += 1
            pairs = put_together(
                sample.name, sample.labels, self._labels, honor_labels=self._job.honor_labels
            )
            refuse_labels(pairs, self._job)
            key = key_of(pairs)
            timed = sample.time_ms is not None and self._job.honor_timestamps
            if key in everything and not timed:
                found.duplicates += 1
                continue
            everything.add(key)
            if not timed:
                found.series[key] = sample.described
            found.added += key not in before
            self._add(writer, pairs, sample, at_ms)
            _close_if_large(writer, found)
        _end({key: before[key] for key in before.keys() - everything}, at_ms, writer, found)
        return found

    def _add(self, writer: RequestWriter, pairs: Pairs, sample: Found, at_ms: int) -> None:
        time_ms = at_ms
        if sample.time_ms is not None and self._job.honor_timestamps:
            time_ms = sample.time_ms
        example = sample.example
        if example is not None and not example.time_ms:
            example = Example(example.labels, example.value, time_ms)
        points = (Point(time_ms, sample.value, sample.start_ms),)
        writer.add(pairs, points, sample.described, (example,) if example else ())

    def ended(self, before: Series, *, at_ms: int) -> Written:
        """An end for each of these."""
        found = Written()
        _end(before, at_ms, RequestWriter(), found)
        return found

    def report(self, values: Mapping[str, float], *, at_ms: int) -> tuple[bytes, int]:
        """What is said of a scrape, by the names in `REPORTS`."""
        writer = RequestWriter()
        for name, value in values.items():
            writer.add(self._of_report(name), (Point(at_ms, value),), REPORTS[name])
        return writer.take(), len(values)

    def reports(self) -> Series:
        """The series about the scrapes."""
        return {key_of(self._of_report(name)): described for name, described in REPORTS.items()}

    def _of_report(self, name: str) -> Pairs:
        return tuple(sorted({**self._labels, NAME: name}.items()))


def _end(before: Series, at_ms: int, writer: RequestWriter, found: Written) -> None:
    for key in sorted(before):
        writer.add(pairs_of(key), (Point(at_ms, STALE),), before[key])
        _close_if_large(writer, found)
    _close(writer, found)


def _close_if_large(writer: RequestWriter, found: Written) -> None:
    if writer.expected_bytes >= REQUEST_BYTES:
        _close(writer, found)


def _close(writer: RequestWriter, found: Written) -> None:
    count = writer.samples
    if count:
        found.bodies.append((writer.take(), count))
