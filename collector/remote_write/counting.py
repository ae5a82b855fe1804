"""What is left of a translated request from which the check has taken points. `collector.handling` asks;
rarely, for it takes time and memory.
"""

from __future__ import annotations

from typing import Any

from collector.check.rules import groups_of
from collector.check.tables import REQUESTS
from collector.remote_write.points import NO_SAMPLE
from collector.replies import Written
from ingest.signals import Signal


def written_in(body: bytes) -> Written:
    """The elements in an OTLP metrics request that `translate` has made."""
    request: Any = REQUESTS[Signal.METRICS]()
    request.ParseFromString(body)
    samples = histograms = exemplars = 0
    for group in groups_of(Signal.METRICS, request):
        for point in group.records:
            exemplars += len(point.exemplars)
            if point.flags & NO_SAMPLE:
                continue
            if hasattr(point, "bucket_counts") or hasattr(point, "positive"):
                histograms += 1
            else:
                samples += 1
    return Written(samples, histograms, exemplars)
