"""Importing snapshots: what is in the tables afterwards, which one counts, and what a break leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.inventory import importing
from ingest.inventory.errors import InventoryError
from ingest.inventory.importing import AHEAD

APPS, BATCH = "apps/v1", "batch/v1"


def test_a_recorded_dump_arrives(imports: Any, make: Any) -> None:
    report = imports.take((make.data / "k3s_lists.json").read_bytes(), "k3s")

    assert (report.status, report.objects, report.is_latest) == ("imported", 3, True)
    assert imports.rows("cluster, api_group, api_version, kind, namespace, workload_kind, workload_name") == [
        ("k3s", "", "v1", "Node", "", "", ""),
        ("k3s", "apps", "v1", "Deployment", "kube-system", "Deployment", "coredns"),
        ("k3s", "coordination.k8s.io", "v1", "Lease", "kube-system", "", ""),
    ]
    ((labels, created, limit),) = [
        row[1:]
        for row in imports.rows(
            "kind, labels, toString(created_at), JSONExtractUInt(extract, 'spec', 'template', 'spec',"
            " 'containers', 1, 'resources', 'limits', 'memory')"
        )
        if row[0] == "Deployment"
    ]
    assert labels["k8s-app"] == "kube-dns"
    assert created == "2025-09-11 20:39:42"
    assert limit == 170 * 1024**2


def test_every_recorded_dump_is_stored_and_is_there_once(imports: Any, recorded: Path) -> None:
    content = recorded.read_bytes()
    first = imports.take(content)
    before = imports.rows("*", "kubernetes_objects")

    again = imports.take(content)

    assert (first.status, again.status) == ("imported", "unchanged")
    assert again.snapshot_id == first.snapshot_id
    assert again.taken_at == first.taken_at
    assert imports.rows("*", "kubernetes_objects") == before
    assert len(imports.rows("snapshot_id", "kubernetes_snapshots")) == 1


def test_the_latest_snapshot_of_a_cluster_counts_as_a_whole(imports: Any, make: Any) -> None:
    now = datetime(2026, 5, 5, tzinfo=UTC)
    old, new = (
        make.listed(make.thing("Pod", "gone"), make.thing("Pod", "stays")),
        make.listed(make.thing("Pod", "stays")),
    )
    imports.take(old, taken_at=now, now=now)
    imports.take(make.listed(make.thing("Pod", "other")), "two", taken_at=now, now=now)

    report = imports.take(new, taken_at=now + timedelta(minutes=5), now=now + timedelta(minutes=6))
    late = imports.take(make.listed(make.thing("Pod", "before")), taken_at=now - timedelta(hours=1), now=now)

    assert (report.is_latest, report.previous_taken_at) == (True, now)
    assert (late.status, late.is_latest, late.previous_taken_at) == ("imported", False, None)
    assert any("A later snapshot counts" in note for note in late.notes)
    assert imports.rows("cluster, name") == [("one", "stays"), ("two", "other")]
    assert {name for (name,) in imports.rows("name", "kubernetes_objects")} == {
        "gone",
        "stays",
        "other",
        "before",
    }


def test_of_two_of_one_moment_the_one_imported_last_counts(imports: Any, make: Any) -> None:
    moment = datetime(2026, 5, 4, tzinfo=UTC)
    for name in ("b", "a"):
        report = imports.take(make.listed(make.thing("Pod", name)), taken_at=moment)
        assert report.is_latest

    assert imports.rows("name") == [("a",)]


def test_a_pod_belongs_to_the_workload_behind_its_owner(imports: Any, make: Any) -> None:
    report = imports.take(make.listed(
        make.thing("Pod", "p1", owner=("ReplicaSet", "front-1")),
        make.thing("Pod", "p2", owner=("ReplicaSet", "unknown-1")),
        make.thing("Pod", "p3", owner=("Job", "report-7")),
        make.thing("Pod", "p4", owner=("StatefulSet", "db")),
        make.thing("Pod", "p5"),
        make.thing("Pod", "p6", owner=("Node", "n1")),
        make.thing("Pod", "p7", namespace="else", owner=("ReplicaSet", "front-1")),
        make.thing("ReplicaSet", "front-1", version=APPS, owner=("Deployment", "front")),
        make.thing("ReplicaSet", "alone", version=APPS),
        make.thing("Job", "report-7", version=BATCH, owner=("CronJob", "report")),
        make.thing("CronJob", "report", version=BATCH),
        make.thing("Service", "front"),
    ))  # fmt: skip

    assert {row[0]: row[1:] for row in imports.rows("name || '/' || kind, workload_kind, workload_name")} == {
        "p1/Pod": ("Deployment", "front"),
        "p2/Pod": ("ReplicaSet", "unknown-1"),
        "p3/Pod": ("CronJob", "report"),
        "p4/Pod": ("StatefulSet", "db"),
        "p5/Pod": ("Pod", "p5"),
        "p6/Pod": ("Pod", "p6"),
        "p7/Pod": ("ReplicaSet", "front-1"),
        "front-1/ReplicaSet": ("Deployment", "front"),
        "alone/ReplicaSet": ("ReplicaSet", "alone"),
        "report-7/Job": ("CronJob", "report"),
        "report/CronJob": ("CronJob", "report"),
        "front/Service": ("", ""),
    }
    assert report.unknown_owners == 2


def test_the_report_says_what_was_understood(imports: Any, make: Any) -> None:
    report = imports.take(make.listed(
        make.thing("Pod", "a"), make.thing("Pod", "b"), make.thing("Widget", "w", version="example.com/v2"),
        make.thing("Secret", "s", data={"k": "hunter2"}), make.thing("Event", "e"),
    ))  # fmt: skip

    assert [(one.group, one.kind, one.objects, one.kept) for one in report.kinds] == [
        ("", "Pod", 2, "fields"), ("example.com", "Widget", 1, "metadata"),
        ("", "Event", 1, "nothing"), ("", "Secret", 1, "nothing"),
    ]  # fmt: skip
    assert "Deployment" in report.absent_kinds
    assert "Pod" not in report.absent_kinds
    assert report.notes == ("1 Secret was in it. Nothing of them was stored; the file has them still.",)
    stored = json.dumps(imports.rows("*", "kubernetes_objects"), default=str)
    assert "Widget" in stored
    assert "hunter2" not in stored
    assert "Secret" not in stored


def test_labels_of_any_text(imports: Any, make: Any) -> None:
    labels = {"it's": 'a "quote"', "back\\slash": "tab\there", "über": "雪", "": "", "nul\0": "a\0b"}
    imports.take(make.listed(make.thing("Namespace", "n\n'", labels=labels)))

    assert imports.rows("name, labels") == [("n\n'", labels)]


def test_tenants_see_their_own(imports: Any, make: Any) -> None:
    imports.take(make.listed(make.thing("Pod", "mine")))
    imports.take(make.listed(make.thing("Pod", "mine")), tenant=imports.tenant + "-other")

    assert imports.rows("name") == [("mine",)]


def test_one_of_the_future_is_refused(imports: Any, make: Any) -> None:
    now = datetime(2026, 5, 4, tzinfo=UTC)
    content = make.listed(make.thing("Pod", "a"))

    with pytest.raises(InventoryError, match="lies in the future, so it was not taken then"):
        imports.take(content, now=now, taken_at=now + AHEAD + timedelta(seconds=1))

    assert imports.rows("name", "kubernetes_objects") == []
    assert imports.take(content, now=now, taken_at=now + AHEAD).is_latest


def test_an_import_that_is_broken_off_changes_nothing(
    imports: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows do not count, and go with an import of a day later."""
    imports.take(make.listed(make.thing("Pod", "old")))
    monkeypatch.setattr(importing, "_ROWS_AT_ONCE", 2)
    new = make.listed(*(make.thing("Pod", f"new{at}") for at in range(5)))
    insert, done = importing._insert, []

    def breaks(*given: Any) -> None:
        if len(done) == 2:
            raise InterruptedError
        done.append(insert(*given))

    with monkeypatch.context() as patch:
        patch.setattr(importing, "_insert", breaks)
        with pytest.raises(InterruptedError):
            imports.take(new)

    assert imports.rows("name") == [("old",)]
    assert len(imports.rows("name", "kubernetes_objects")) == 5
    assert imports.take(new).status == "imported"
    assert len(imports.rows("name")) == 5
    imports.take(make.listed(make.thing("Pod", "next")), now=datetime(2026, 5, 6, tzinfo=UTC))
    assert imports.rows("name") == [("next",)]
    assert len(imports.rows("name", "kubernetes_objects")) == 1 + 5 + 1
