"""What remote write sends is read back once, in its place, with the labels it came with."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from collector.door import Form
from collector.remote_write.translate import translate
from ingest.signals import Signal
from ingest.store.engine import Session
from support.remote_write import WriteRequest

NOW_MS = time.time_ns() // 10**6 - 3_600_000
LABELS = {"__name__": "requests_total", "code": "200", "instance": "a:9", "job": "shop/api"}
SAMPLES = """\
SELECT labels, toUnixTimestamp64Milli(TimeUnix) AS time_ms, Value
FROM prometheus_samples
WHERE tenant = {tenant:String} AND MetricName = 'requests_total'
ORDER BY time_ms
"""


@pytest.fixture
def write(insert: Callable[..., None], tenant: str) -> Callable[..., None]:
    """Stores samples, by time and value, of series with these labels; each call is a request and a batch."""

    def write(samples: list[tuple[int, float]], **changed: str) -> None:
        request = WriteRequest()
        series = request.timeseries.add()
        for name, value in sorted((LABELS | changed).items()):
            series.labels.add(name=name, value=value)
        for time_ms, number in samples:
            series.samples.add(timestamp=NOW_MS + time_ms, value=number)
        body = request.SerializeToString()
        translated = translate(
            Form.WRITE_1, body, now_ns=time.time_ns(), limit_bytes=1 << 20, grow=lambda size: None
        )
        insert(Signal.METRICS, translated.body, tenant=tenant)

    return write


@pytest.fixture
def read(session: Session, tenant: str) -> Callable[[], list[tuple[Any, ...]]]:
    return lambda: [tuple(row) for row in session.rows(SAMPLES, {"tenant": tenant})]


def test_the_labels_are_those_that_came(write: Any, read: Any) -> None:
    write([(0, 1.5)])
    assert read() == [(LABELS, NOW_MS, 1.5)]


@pytest.mark.parametrize(
    ("job", "instance"), [("api", "a:9"), ("", ""), ("a/b/c", ""), ("", "a:9"), ("/x", "")]
)
def test_whatever_the_job_and_instance(write: Any, read: Any, job: str, instance: str) -> None:
    write([(0, 1.5)], job=job, instance=instance)
    wanted = {name: value for name, value in (LABELS | {"job": job, "instance": instance}).items() if value}
    assert read() == [(wanted, NOW_MS, 1.5)]


def test_samples_out_of_order_are_in_their_places(write: Any, read: Any) -> None:
    times = list(range(20))
    random.Random(7).shuffle(times)
    for at in times:
        write([(at * 1000, float(at))])
    assert [(time_ms - NOW_MS, value) for _, time_ms, value in read()] == [
        (at * 1000, at) for at in range(20)
    ]


def test_of_two_samples_at_the_same_time_the_last_counts(write: Any, read: Any) -> None:
    write([(0, 1.0), (1000, 1.0)])
    write([(1000, 2.0), (2000, 2.0)])
    write([(0, 3.0)])
    assert [value for *_, value in read()] == [3.0, 2.0, 2.0]


def test_other_labels_are_another_series(write: Any, read: Any) -> None:
    write([(0, 1.0)])
    write([(0, 2.0)], code="500")
    assert sorted(value for *_, value in read()) == [1.0, 2.0]
