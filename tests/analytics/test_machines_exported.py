"""Machines as the node exporter tells of them: by address, with a name of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from analytics.answers import Basis, cost_answer
from analytics.cost import By
from analytics.samples import Samples, read_samples
from analytics.settings import AnalyticsSettings
from analytics.window import Window
from ingest.store.engine import Session
from support.cluster import full_hour, of_prometheus
from support.kubernetes import Sample, sample
from support.prometheus import node_exporter

START = full_hour(4)
HOUR = Window(START, START + timedelta(hours=1))
GIB = float(1 << 30)
EC2 = {"system_vendor": "Amazon EC2", "product_name": "t3.medium"}


def exported(
    at: datetime, instance: str, name: str, *, busy: float = 0.25, **target: str
) -> Iterator[Sample]:
    """Two processors, 4 GiB of which a half is available."""
    time_ms, age_s = round(at.timestamp() * 1000), (at - START).total_seconds() + 1000
    who = {"job": "node", "instance": instance, **target}
    for cpu in ("0", "1"):
        for mode, share in (("idle", 1 - busy), ("user", busy)):
            yield sample("node_cpu_seconds_total", time_ms, age_s * share, cpu=cpu, mode=mode, **who)
    yield sample("node_memory_MemTotal_bytes", time_ms, 4 * GIB, **who)
    yield sample("node_memory_MemAvailable_bytes", time_ms, 2 * GIB, **who)
    yield sample("node_uname_info", time_ms, nodename=name, machine="x86_64", sysname="Linux", **who)


def moments() -> list[datetime]:
    return [START + timedelta(minutes=minute, seconds=9) for minute in range(60)]


def frames(session: Session, tenant: str) -> Samples:
    return read_samples(session, HOUR, tenant)


def costs(session: Session, tenant: str, by: By = By.WORKLOAD) -> dict[str, Decimal]:
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)
    window = f"{HOUR.start.isoformat()}/{HOUR.end.isoformat()}"
    answer = cost_answer(session, basis, by=by, window=window, now=datetime.now(UTC), tenant=tenant)
    return {row.name: row.total for row in answer.rows}


def test_a_machine_outside_clusters(session: Session, telemetry: Any, tenant: str) -> None:
    for at in moments():
        time_ms = round(at.timestamp() * 1000)
        telemetry.prometheus(exported(at, "10.1.0.7:9100", "vm-1", region="eu-central-1"))
        dmi = sample("node_dmi_info", time_ms, job="node", instance="10.1.0.7:9100", **EC2)
        telemetry.prometheus([dmi])
    telemetry.store()

    found = frames(session, tenant)
    (node,) = found.nodes.to_dicts()
    assert (node["cluster"], node["node"], node["host_type"], node["region"]) == (
        "", "vm-1", "t3.medium", "eu-central-1",
    )  # fmt: skip
    assert (node["cpu_capacity"], node["memory_capacity"]) == (2.0, 4 * GIB)
    minutes = found.node_minutes.sort("minute")
    assert minutes["busy_share"].to_list() == pytest.approx([0.25] * 60)
    assert minutes["memory_usage"].to_list() == [2 * GIB] * 60
    assert costs(session, tenant) == {"vm-1": Decimal("0.048"), "total": Decimal("0.048")}


@pytest.mark.parametrize(
    ("instance", "name", "target"),
    [
        ("10.0.0.1:9100", "another-name", {"cluster": "fra"}),
        ("10.0.0.9:9100", "node-1", {"cluster": "fra"}),
        ("10.0.0.9:9100", "another-name", {"cluster": "fra", "node": "node-1"}),
        ("10.0.0.9:9100", "node-1", {}),
    ],
    ids=["its address", "its own name", "a label of the target", "without the cluster"],
)
def test_a_node_of_a_cluster_costs_once(
    session: Session, telemetry: Any, tenant: str, instance: str, name: str, target: dict[str, str]
) -> None:
    for at in moments():
        telemetry.prometheus(of_prometheus(at, START - timedelta(minutes=1)))
        telemetry.prometheus(exported(at, instance, name, **target))
    telemetry.store()

    assert costs(session, tenant)["total"] == Decimal("0.23")
    found = frames(session, tenant).nodes.filter(cluster="fra")
    assert found["node"].to_list() == ["node-1"]


def test_a_machine_that_only_shares_the_clusters_prometheus(
    session: Session, telemetry: Any, tenant: str
) -> None:
    for at in moments():
        telemetry.prometheus(of_prometheus(at, START - timedelta(minutes=1)))
        telemetry.prometheus(exported(at, "10.9.0.1:9100", "bastion", cluster="fra"))
    telemetry.store()

    found = costs(session, tenant)
    assert found["bastion"] > 0
    assert found["total"] == Decimal("0.23") + found["bastion"]


@pytest.mark.process
def test_what_debians_node_exporter_says_of_this_machine(
    session: Session, telemetry: Any, sending: Any, tenant: str, tmp_path: Path
) -> None:
    """Its page, told every minute of an hour in which each processor is busy a quarter of the time. By the
    names of the Collector's hostmetrics receiver the same machine costs the same.
    """
    with node_exporter(tmp_path / "exporter", "cpu", "meminfo", "uname") as address:
        page = httpx2.get(f"http://{address}/metrics", trust_env=False).text
    told = [one for family in text_string_to_metric_families(page) for one in family.samples]
    for at in moments():
        time_ms, age_s = round(at.timestamp() * 1000), (at - START).total_seconds()
        telemetry.prometheus(
            sample(
                one.name, time_ms,
                one.value + age_s * (0.75 if one.labels.get("mode") == "idle" else 0.0)
                if one.name == "node_cpu_seconds_total" else one.value,
                job="node", instance="10.1.0.7:9100", **one.labels,
            )
            for one in told
        )  # fmt: skip
    telemetry.store()

    processors = len({one.labels["cpu"] for one in told if one.name == "node_cpu_seconds_total"})
    (name,) = (one.labels["nodename"] for one in told if one.name == "node_uname_info")
    memory, available = (
        next(one.value for one in told if one.name == f"node_memory_Mem{word}_bytes")
        for word in ("Total", "Available")
    )
    found = frames(session, tenant)
    (node,) = found.nodes.to_dicts()
    assert (node["cluster"], node["node"], node["cpu_capacity"], node["memory_capacity"]) == (
        "", name, processors, memory,
    )  # fmt: skip
    minutes = found.node_minutes.sort("minute")
    assert minutes["busy_share"].to_list() == pytest.approx([0.25] * 60)
    assert minutes["memory_usage"].to_list() == [memory - available] * 60

    collector = sending(f"{tenant}-collector")
    for at in moments():
        collector.gauges({"host.name": name}, [
            ("system.cpu.logical.count", float(processors), at, {}),
            ("system.cpu.utilization", 0.25, at, {"state": "user"}),
            ("system.cpu.utilization", 0.75, at, {"state": "idle"}),
            ("system.memory.limit", memory, at, {}),
            ("system.memory.usage", memory - available, at, {"state": "used"}),
        ])  # fmt: skip
    collector.store()
    once = costs(session, tenant)
    assert once[name] > 0
    assert costs(session, f"{tenant}-collector") == once
