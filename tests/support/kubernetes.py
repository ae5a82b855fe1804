"""Series as a Prometheus sends them from a cluster: of a recorded dump, or written out by a test. They go the
way of remote write: the request is translated as the collector does it.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.door import Form
from collector.remote_write.translate import translate
from support.remote_write import WriteRequest

VERSIONS = ("1_31", "1_35")
_KSM = {"job": "kube-state-metrics", "instance": "10.244.0.7:8080"}
_CADVISOR = {"job": "kubelet", "metrics_path": "/metrics/cadvisor"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: labels with `__name__`, time in ms, value."""

    labels: Mapping[str, str]
    time_ms: int
    value: float

    def at(self, time_ms: int, value: float | None = None, **labels: str) -> Sample:
        """The same series at another time."""
        return replace(
            self,
            time_ms=time_ms,
            value=self.value if value is None else value,
            labels={**self.labels, **labels},
        )


def sample(name: str, time_ms: int, value: float = 1.0, /, **labels: str) -> Sample:
    return Sample({"__name__": name, **labels}, time_ms, value)


def written(samples: Iterable[Sample]) -> bytes:
    """A remote write request of these samples, as the collector hands it on."""
    request = WriteRequest()
    for one in samples:
        series = request.timeseries.add()
        for name, value in sorted(one.labels.items()):
            if value:
                series.labels.add(name=name, value=value)
        series.samples.add(timestamp=one.time_ms, value=one.value)
    body = request.SerializeToString()
    return translate(
        Form.WRITE_1, body, now_ns=time.time_ns(), limit_bytes=64 << 20, grow=lambda size: None
    ).body


def recorded(version: str, file: str) -> str:
    """A page of the recorded cluster, as it was scraped; the test is skipped where it is absent."""
    root = Path(os.environ.get("LOWTIDE_TEST_DATA", "../shared/data"))
    path = root / "kubernetes-metrics" / version / f"{file}.gz"
    if not path.is_file():
        pytest.skip(f"needs the recorded cluster {path}: set LOWTIDE_TEST_DATA")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return "\n".join(line.strip() for line in lines) + "\n"


def state(version: str, time_ms: int) -> Iterator[Sample]:
    """What kube-state-metrics of the recorded cluster said, as scraped at that time."""
    return _dumped(version, "ksm_metrics", time_ms, _KSM)


def cadvisor(version: str, time_ms: int) -> Iterator[Sample]:
    """What the kubelet of the recorded cluster said of its containers, as scraped at that time."""
    node = f"datagen-{version.replace('_', '-')}"
    return _dumped(
        version, "kubelet_metrics_cadvisor", time_ms, {**_CADVISOR, "instance": node, "node": node}
    )


def _dumped(version: str, file: str, time_ms: int, target: Mapping[str, str]) -> Iterator[Sample]:
    for family in text_string_to_metric_families(recorded(version, file)):
        for found in family.samples:
            yield Sample({**found.labels, **target, "__name__": found.name}, time_ms, found.value)
