"""Prometheus text as a remote write request of one scrape: what Prometheus would send of a recorded dump."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from collector.door import Form
from collector.remote_write.translate import translate
from support.remote_write import WriteRequest

Sample = tuple[str, dict[str, str], float]


def samples(*paths: Path) -> list[Sample]:
    """Name, labels and value of every line of the files."""
    return [
        (sample.name, dict(sample.labels), sample.value)
        for path in paths
        for family in text_string_to_metric_families(path.read_text("utf-8"))
        for sample in family.samples
    ]


def scraped(found: Iterable[Sample], at_ms: int, **target: str) -> bytes:
    """The OTLP request that is stored of a scrape at this time; `target` are the labels Prometheus adds."""
    request = WriteRequest()
    for name, labels, value in found:
        series = request.timeseries.add()
        whole = {key: text for key, text in {**labels, **target, "__name__": name}.items() if text}
        for key, text in sorted(whole.items()):
            series.labels.add(name=key, value=text)
        series.samples.add(timestamp=at_ms, value=value)
    translated = translate(
        Form.WRITE_1, request.SerializeToString(), now_ns=time.time_ns(), limit_bytes=1 << 24,
        grow=lambda size: None,
    )  # fmt: skip
    return translated.body
