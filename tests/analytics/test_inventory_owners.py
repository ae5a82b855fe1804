"""Labels of a cluster's snapshot say whose a workload is, where telemetry does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.answers import Basis, owners_answer
from analytics.inventory_owners import inventory_owners, label_keys
from analytics.queries import Asked
from analytics.settings import AnalyticsSettings
from ingest.inventory.importing import import_snapshot
from ingest.inventory.snapshot import Reading
from ingest.store.engine import Session
from support.cluster import full_hour

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
RULES = """\
rules:
  - match: {labels: {example.com/Tier: "gold"}}
    cost_centre: CC-${labels.example.com/Tier}
  - environment: ${namespace_labels.stage}
"""


def thing(kind: str, name: str, version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "labels": more.pop("labels", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def template(**labels: str) -> dict[str, Any]:
    return {"template": {"metadata": {"labels": labels}}}


def owned(pod: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    pod["metadata"]["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    return pod


def take(session: Session, tenant: str, *objects: dict[str, Any], now: datetime = NOW) -> None:
    reading = Reading("a test")
    reading.feed(json.dumps({"items": objects, "kind": "List"}).encode())
    import_snapshot(session, reading.finish(), tenant=tenant, cluster="fra", taken_at=now, now=now)


def test_keys_are_as_they_are_written() -> None:
    attributes = ("k8s.pod.label.example.com/Tier", "k8s.namespace.labels.team", "team", "k8s.pod.labels.app")

    assert label_keys(attributes) == ["pod/example.com/Tier", "namespace/team", "pod/app"]


@pytest.fixture
def said(session: Session, tenant: str) -> Any:
    def ask(*asked: Asked) -> dict[str, dict[str, Any]]:
        found = inventory_owners(session, tenant, AnalyticsSettings(), asked)
        return {row["workload_name"]: row for row in found.to_dicts()}

    return ask


def test_the_template_goes_before_pods_and_these_before_the_namespace(
    session: Session, tenant: str, said: Any
) -> None:
    space = thing("Namespace", "shop", "v1", labels={"team": "all", "stage": "live"})
    space["metadata"]["namespace"] = ""
    take(
        session, tenant, space,
        thing("Deployment", "front", labels={"team": "its own"}, spec=template(team="commerce")),
        owned(thing("ReplicaSet", "front-1", spec=template(team="old", tier="gold")), "Deployment", "front"),
        owned(thing("Pod", "front-1-a", "v1", labels={"team": "a pod's"}), "ReplicaSet", "front-1"),
        owned(thing("Pod", "db-0", "v1", labels={"team": "data"}), "StatefulSet", "db"),
        thing("CronJob", "report", "batch/v1", spec={"jobTemplate": {"spec": template(team="numbers")}}),
        thing("DaemonSet", "agent", spec=template(app="agent")),
        thing("Service", "front", "v1", labels={"team": "nobody's"}),
    )  # fmt: skip

    found = said(
        Asked("labels.tier", ("k8s.pod.label.tier", "k8s.pod.labels.tier")),
        Asked("namespace_labels.stage", ("k8s.namespace.label.stage",)),
    )

    assert {name: row["team"] for name, row in found.items()} == {
        "front": "commerce", "db": "data", "report": "numbers", "agent": "all",
    }  # fmt: skip
    assert {name: row["labels.tier"] for name, row in found.items() if row["labels.tier"]} == {
        "front": "gold"
    }
    assert {row["namespace_labels.stage"] for row in found.values()} == {"live"}


def test_only_the_latest_snapshot_says_something(session: Session, tenant: str, said: Any) -> None:
    assert said() == {}
    take(session, tenant, thing("Deployment", "front", spec=template(team="old")))
    take(
        session, tenant, thing("Deployment", "front", spec=template(team="new")), now=NOW + timedelta(days=1)
    )

    assert said()["front"]["team"] == "new"


def test_answers_know_them_and_rules_may_ask_for_them(
    session: Session, telemetry: Any, tenant: str, tmp_path: Any
) -> None:
    """What resources say goes before; a workload that only the snapshot knows is in no answer."""
    start = full_hour(2)
    own = {"front": {}, "back": {"team": "its own"}}
    for name, more in own.items():
        resource = {
            "k8s.cluster.name": "fra", "k8s.namespace.name": "shop", "k8s.deployment.name": name,
            "k8s.pod.name": f"{name}-1", "k8s.container.name": "main", "k8s.node.name": "node-1", **more,
        }  # fmt: skip
        telemetry.gauges(resource, [("k8s.container.cpu_request", 1.0, start + timedelta(minutes=20), {})])
    telemetry.store()
    space = thing("Namespace", "shop", "v1", labels={"stage": "live"})
    space["metadata"]["namespace"] = ""
    take(
        session, tenant, space,
        thing("Deployment", "front", spec=template(**{"team": "commerce", "example.com/Tier": "gold"})),
        thing("Deployment", "back", spec=template(team="another's")),
        thing("Deployment", "silent", spec=template(team="commerce")),
    )  # fmt: skip
    path = tmp_path / "owners.yaml"
    path.write_text(RULES)
    basis = Basis.load(AnalyticsSettings(ownership_file=path), "USD", UTC)
    window = f"{start.isoformat()}/{(start + timedelta(hours=1)).isoformat()}"

    answer = owners_answer(session, basis, window=window, now=datetime.now(UTC), tenant=tenant)

    found = {row.name: row for row in answer.rows}
    assert {name: row.team for name, row in found.items()} == {
        "fra/shop/front": "commerce", "fra/shop/back": "its own",
    }  # fmt: skip
    assert found["fra/shop/front"].cost_centre == "CC-gold"
    assert {row.environment for row in found.values()} == {"live"}
