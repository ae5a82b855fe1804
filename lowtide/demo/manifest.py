"""What was sent, so that a test can look for every piece of it. Written by the command with `--manifest`.

The trap: counts are of what was made; whether it was acknowledged is the sender's to say. `--manifest-ids`
is a file of 24 bytes a span: trace id (16), span id (8), in order of making.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from ingest.signals import Signal
from lowtide.demo.wire import Octets


class Manifest:
    """Counts by service, and the identity of every span if a file was asked for. A context manager."""

    def __init__(self, ids: Path | None = None) -> None:
        self.counts: dict[Signal, Counter[str]] = {signal: Counter() for signal in Signal}
        self._path = ids
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def spans(self, service: str, traces: Octets, spans: Octets) -> None:
        """Spans of a service, with their ids."""
        self.counts[Signal.TRACES][service] += len(spans)
        if self._file is not None:
            self._file.write(np.concatenate([traces, spans], axis=1).tobytes())

    def points(self, service: str, count: int) -> None:
        """Metric points about a service or a node."""
        self.counts[Signal.METRICS][service] += count

    def logs(self, service: str, count: int) -> None:
        """Log records of a service."""
        self.counts[Signal.LOGS][service] += count

    def total(self, signal: Signal) -> int:
        """Everything made of a signal."""
        return sum(self.counts[signal].values())

    def as_plain(self) -> dict[str, dict[str, int]]:
        """Counts by signal and estate key, sorted."""
        return {signal.value: dict(sorted(counts.items())) for signal, counts in self.counts.items()}
