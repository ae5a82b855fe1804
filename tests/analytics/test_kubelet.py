"""The kubelet's own account of containers and its node, `/metrics/resource`: alone, and beside cAdvisor's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from analytics.samples import Samples, read_samples
from analytics.window import Window
from ingest.store.engine import Session
from support.cluster import NODE, full_hour, of_prometheus
from support.kubernetes import Sample, sample

PAGE = Path(__file__).parent / "data" / "kubelet" / "resource.txt"
START = full_hour(4)
STARTED = START - timedelta(minutes=10)
HOUR = Window(START, START + timedelta(hours=1))
TARGET = {"job": "kubelet", "metrics_path": "/metrics/resource", "instance": "10.0.0.1:10250", "node": NODE}
GROWTH_CORES = {"container_cpu_usage_seconds_total": 0.125, "node_cpu_usage_seconds_total": 1.5}
OF_CONTAINERS = ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
                 "container_start_time_seconds")  # fmt: skip
OF_NODES = {
    "container_cpu_usage_seconds_total": "node_cpu_usage_seconds_total",
    "container_memory_working_set_bytes": "node_memory_working_set_bytes",
}


def moments() -> list[datetime]:
    return [START + timedelta(minutes=minute, seconds=7) for minute in range(60)]


def recorded(at: datetime) -> Iterator[Sample]:
    """The recorded page at this moment, with counters that grow."""
    time_ms, age_s = round(at.timestamp() * 1000), (at - START).total_seconds()
    for family in text_string_to_metric_families(PAGE.read_text(encoding="utf-8")):
        for found in family.samples:
            value = found.value + GROWTH_CORES.get(found.name, 0.0) * age_s
            yield sample(found.name, time_ms, value, cluster="fra", **TARGET, **found.labels)


def second_account(told: Iterable[Sample]) -> Iterator[Sample]:
    """What cAdvisor told of containers and the machine, as `/metrics/resource` does: without ids and images,
    and read five seconds later.
    """
    for one in told:
        name, labels = one.labels["__name__"], one.labels
        who = {key: labels[key] for key in ("namespace", "pod", "container") if labels.get(key)}
        later = one.time_ms + 5_000
        if name in OF_CONTAINERS and labels.get("name"):
            yield sample(name, later, one.value, cluster="fra", **TARGET, **who)
        elif name in OF_NODES and labels.get("id") == "/":
            yield sample(OF_NODES[name], later, one.value, cluster="fra", **TARGET)


def frames(session: Session, tenant: str) -> Samples:
    return read_samples(session, HOUR, tenant)


def test_a_recorded_page_alone(session: Session, telemetry: Any, tenant: str) -> None:
    for at in moments():
        telemetry.prometheus(recorded(at))
    telemetry.store()

    found = frames(session, tenant)
    (container,) = found.containers.to_dicts()
    assert (container["pod"], container["container"], container["node"]) == (
        "coredns-558bd4d5db-4dpjz", "coredns", NODE,
    )  # fmt: skip
    minutes = found.container_minutes.sort("minute")
    assert minutes["cpu_usage"].to_list()[1:] == pytest.approx([0.125] * 59)
    assert minutes["memory_usage"].to_list() == [12_533_760.0] * 60
    (node,) = found.nodes.to_dicts()
    assert (node["cluster"], node["node"]) == ("fra", NODE)
    nodes = found.node_minutes.sort("minute")
    assert nodes["cpu_usage"].to_list() == pytest.approx([1.5] * 60)
    assert nodes["memory_usage"].to_list() == [1_616_273_408.0] * 60


def test_beside_cadvisor_it_adds_nothing(session: Session, telemetry: Any, sending: Any, tenant: str) -> None:
    alone = sending(f"{tenant}-alone")
    for at in moments():
        told = list(of_prometheus(at, STARTED))
        alone.prometheus(told)
        telemetry.prometheus(told)
        telemetry.prometheus(second_account(told))
    alone.store()
    telemetry.store()

    once, twice = frames(session, f"{tenant}-alone"), frames(session, tenant)
    assert rounded(twice.container_minutes, "container_id").equals(
        rounded(once.container_minutes, "container_id")
    )
    assert rounded(twice.node_minutes, "node_id").equals(rounded(once.node_minutes, "node_id"))
    assert twice.containers.drop("last_minute").equals(once.containers.drop("last_minute"))
    assert twice.nodes.equals(once.nodes)


def rounded(minutes: pl.DataFrame, key: str) -> pl.DataFrame:
    return minutes.sort(key, "minute").with_columns(pl.col(pl.Float64).round(9))
