"""A real spool, and a writer that fails as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from ingest.loader.pipe import Pipe
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.errors import StoreDecodeError
from ingest.store.otlp import Request

QUICK = LoaderSettings(interval_ms=0, retry_max_s=0.01, inserts_at_once=1)


@dataclass(slots=True)
class FailingWriter:
    """Keeps what it is given; raises the next of `errors` first, before or after keeping."""

    errors: list[Exception] = field(default_factory=list)
    keeps_first: bool = False
    """Whether a failing insert has an effect all the same."""
    attempts: list[tuple[int, str, tuple[bytes, ...]]] = field(default_factory=list)
    stored: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    poison: list[bytes] = field(default_factory=list)
    """What it cannot read."""
    held: bool = False
    """Whether it says that it has rows of every batch."""

    def look(self, _signal: Signal, _tenant: str, _body: bytes) -> None:
        return None

    def insert(self, signal: Signal, batch_id: int, token: str, requests: list[Request]) -> None:
        bodies = tuple(request.body for request in requests)
        self.attempts.append((batch_id, token, bodies))
        if self.errors:
            if self.keeps_first:
                self.stored[token] = bodies
            raise self.errors.pop(0)
        if any(bad in body for bad in self.poison for body in bodies):
            raise StoreDecodeError("this is no request", 444)
        self.stored[token] = bodies

    def holds(self, signal: Signal, batch_id: int) -> bool:
        return self.held


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool.open(tmp_path / "spool", SpoolSettings(group_commit_ms=0)) as opened:
        yield opened


@pytest.fixture
def writer() -> FailingWriter:
    return FailingWriter()


def drained(spool: Spool, writer: FailingWriter, settings: LoaderSettings = QUICK) -> Pipe:
    """Load the traces of a spool until nothing is left."""
    drain = threading.Event()
    drain.set()
    pipe = Pipe(
        Signal.TRACES, spool, writer, settings, LoaderMetrics(CollectorRegistry()), drain, threading.Event()
    )
    pipe.run()
    return pipe


@pytest.fixture
def load() -> Callable[..., Pipe]:
    return drained


@pytest.fixture
def fill() -> Callable[[Spool, list[bytes]], None]:
    """`fill(spool, bodies)`: append trace requests durably."""

    def append(spool: Spool, bodies: list[bytes]) -> None:
        for body in bodies:
            spool.append(Signal.TRACES, "default", body, items=2, received_ns=1).result()

    return append
