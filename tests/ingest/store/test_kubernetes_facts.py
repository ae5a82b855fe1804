"""What kube-state-metrics says, through remote write: kept once, and as it was last."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.store.engine import Session
from support.kubernetes import VERSIONS, Sample, sample, state, written

HOUR_MS = 3_600_000
HOUR = time.time_ns() // 10**6 // HOUR_MS * HOUR_MS - 2 * HOUR_MS
MINUTE = 60_000
HPA = {"namespace": "shop", "horizontalpodautoscaler": "checkout"}
FACTS = """\
SELECT fact, kind, namespace, name, uid, part, value, labels, toUnixTimestamp(period) * 1000 AS period,
    toUnixTimestamp64Milli(seen_at) AS seen_at, cluster
FROM kubernetes_facts FINAL
WHERE tenant = {tenant:String}
ORDER BY fact, namespace, name, part, period
"""


@pytest.fixture
def write(insert: Callable[..., None], tenant: str) -> Callable[..., None]:
    """Stores samples; each call is a request and a batch."""
    return lambda *samples: insert(Signal.METRICS, written(samples), tenant=tenant)


@pytest.fixture
def facts(session: Session, tenant: str) -> Callable[[], list[dict[str, Any]]]:
    return lambda: session.frame(FACTS, {"tenant": tenant}).to_dicts()


def test_a_fact_is_who_what_and_when(write: Any, facts: Any) -> None:
    labels = {
        "namespace": "shop", "pod": "checkout-1", "uid": "u-1", "node": "node-1", "host_ip": "10.0.0.1",
        "priority_class": "", "job": "kube-state-metrics", "instance": "a:8080", "cluster": "fra",
    }  # fmt: skip
    write(sample("kube_pod_info", HOUR + 5, **labels))

    (fact,) = facts()
    assert fact == {
        "fact": "kube_pod_info", "kind": "Pod", "namespace": "shop", "name": "checkout-1", "uid": "u-1",
        "part": "", "value": 1.0, "labels": {"node": "node-1"}, "period": HOUR, "seen_at": HOUR + 5,
        "cluster": "fra",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["status_desired_replicas", "status_current_replicas", "spec_min_replicas"])
def test_what_falls_to_nothing_is_nothing(write: Any, facts: Any, name: str) -> None:
    fact = f"kube_horizontalpodautoscaler_{name}"
    for number, wanted in enumerate((3.0, 0.0, 2.0, 0.0)):
        write(sample(fact, HOUR + number * MINUTE, wanted, **HPA))

    assert [(row["period"] - HOUR, row["value"]) for row in facts()] == [
        (0, 3.0), (MINUTE, 0.0), (2 * MINUTE, 2.0), (3 * MINUTE, 0.0)
    ]  # fmt: skip


def test_the_last_value_of_a_period_counts_however_the_samples_come(write: Any, facts: Any) -> None:
    def wanted(second: int, value: float) -> Sample:
        return sample(
            "kube_deployment_spec_replicas", HOUR + second * 1000, value, namespace="shop", deployment="api"
        )

    write(wanted(20, 5.0), wanted(50, 0.0), wanted(5, 4.0))
    write(wanted(35, 7.0))

    (row,) = facts()
    assert (row["value"], row["seen_at"]) == (0.0, HOUR + 50_000)


def test_two_scrapers_are_one_row(write: Any, facts: Any) -> None:
    for second, replica in ((5, "a"), (12, "b")):
        write(
            sample(
                "kube_horizontalpodautoscaler_status_desired_replicas", HOUR + second * 1000, 2.0, **HPA,
                prometheus_replica=replica, instance=f"{replica}:8080", job="kube-state-metrics",
            )
        )  # fmt: skip

    (row,) = facts()
    assert (row["value"], row["seen_at"]) == (2.0, HOUR + 12_000)


def test_of_a_state_only_what_holds_is_kept(write: Any, facts: Any) -> None:
    def phases(second: int, holds: str) -> list[Sample]:
        return [
            sample(
                "kube_pod_status_phase", HOUR + second * 1000, float(phase == holds),
                namespace="shop", pod="job-1", uid="u-1", phase=phase,
            )
            for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown")
        ]  # fmt: skip

    write(*phases(1, "Pending"), *phases(31, "Running"))
    write(*phases(61, "Succeeded"))

    (row,) = facts()
    assert (row["labels"], row["seen_at"]) == ({"phase": "Succeeded"}, HOUR + 61_000)


def test_labels_of_a_scraper_without_honor_labels(write: Any, facts: Any) -> None:
    own = {"namespace": "monitoring", "pod": "kube-state-metrics-0", "container": "ksm"}
    theirs = {"exported_namespace": "shop", "exported_pod": "checkout-1", "exported_container": "app"}
    limits = sample("kube_pod_container_resource_limits", HOUR, 2.0, **own, **theirs, resource="cpu")
    write(limits)

    (row,) = facts()
    assert (row["namespace"], row["name"], row["part"], row["value"]) == (
        "shop", "checkout-1", "app/cpu", 2.0
    )  # fmt: skip


def test_only_who_controls_is_an_owner(write: Any, facts: Any) -> None:
    pod = {"namespace": "shop", "pod": "checkout-1", "uid": "u-1"}
    write(
        sample("kube_pod_owner", HOUR, **pod, owner_kind="Foo", owner_name="x", owner_is_controller="false"),
        sample(
            "kube_pod_owner", HOUR, **pod,
            owner_kind="ReplicaSet", owner_name="checkout", owner_is_controller="true",
        ),
    )  # fmt: skip

    (row,) = facts()
    assert row["labels"] == {"owner_kind": "ReplicaSet", "owner_name": "checkout"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_cluster(write: Any, facts: Any, version: str) -> None:
    samples = list(state(version, HOUR + 1))
    write(*samples)
    write(*(one.at(HOUR + 30_001) for one in samples))

    found = facts()
    count = Counter(row["fact"] for row in found)
    said = Counter(one.labels["__name__"] for one in samples)
    states = [name for name in count if name.endswith("_phase")]
    owners = ("kube_pod_owner", "kube_replicaset_owner", "kube_job_owner")
    assert states
    for name in count.keys() - set(states):
        assert count[name] == said[name], name
    assert all(count[name] * 3 <= said[name] for name in states)
    assert all(count[name] for name in owners)
    assert {row["kind"] for row in found} == {
        "Pod", "ReplicaSet", "Deployment", "StatefulSet", "Job", "Namespace", "Node", "PersistentVolume",
        "PersistentVolumeClaim", "StorageClass", "Service", "HorizontalPodAutoscaler",
    }  # fmt: skip
    assert all(row["name"] and row["seen_at"] == HOUR + 30_001 for row in found)
    assert not [row for row in found if "job" in row["labels"]]
