"""One target that is up, and its scrapes at times of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from collector.scrape.fetch import Fetcher
from collector.scrape.scraping import Scraping
from collector.scrape.settings import ScrapeJob
from collector.scrape.targets import targets_of
from collector.scrape.telemetry import ScrapeTelemetry
from support.scraping import Exposed, Kept, OneTarget, Page, expose


@pytest.fixture
def exposed() -> Iterator[Exposed]:
    with expose(Page()) as target:
        yield target


@pytest.fixture
def scraping(exposed: Exposed) -> Iterator[Callable[..., OneTarget]]:
    """`scraping(**job)` makes the scrapes of `exposed`."""
    with ThreadPoolExecutor(1) as reader:

        def make(**given: Any) -> OneTarget:
            job = ScrapeJob(**({"name": "test", "targets": (exposed.address,)} | given))
            registry = CollectorRegistry()
            kept = Kept()
            (target,) = targets_of(job)
            fetcher = Fetcher(job, "scrape.jobs[0]")
            one = OneTarget(None, kept, registry, fetcher)  # type: ignore[arg-type]
            one.scraping = Scraping(
                job, target, fetcher=fetcher, way_in=kept, telemetry=ScrapeTelemetry(registry), reader=reader,
                clock_ns=lambda: one.now_ns,
            )  # fmt: skip
            return one

        yield make
