"""What there is of clusters by their latest snapshots, as an answer and as the command shows it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import lowtide.asking
from analytics.inventory import inventory_answer
from analytics.inventory_documents import InventoryAnswer
from ingest.inventory.importing import import_snapshot
from ingest.inventory.snapshot import Reading
from ingest.store.engine import Session
from lowtide.cli.app import run

BEGIN = datetime(2026, 5, 4, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
POD, WEB, QUEUE = (
    {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}}
    for version, kind, name in (
        ("v1", "Pod", "web-1"), ("apps/v1", "Deployment", "web"), ("apps/v1", "Deployment", "queue"),
    )
)  # fmt: skip


def take(session: Session, tenant: str, cluster: str, at: datetime, *objects: Any) -> None:
    reading = Reading(f"{cluster}.json")
    reading.feed(json.dumps({"items": objects}).encode())
    import_snapshot(
        session, reading.finish(), tenant=tenant, cluster=cluster, taken_at=at, now=BEGIN + 5 * HOUR
    )


def test_the_latest_of_each_cluster_counts(session: Session, tenant: str) -> None:
    take(session, tenant, "fra", BEGIN + 2 * HOUR, POD, WEB, QUEUE)
    take(session, tenant, "fra", BEGIN, POD)  # comes later, and is older
    take(session, tenant, "ams", BEGIN + HOUR, QUEUE)
    take(session, f"{tenant}-other", "fra", BEGIN + 3 * HOUR, POD)

    ams, fra = inventory_answer(session, now=BEGIN + 6 * HOUR, tenant=tenant).rows

    assert (ams.cluster, ams.objects, ams.snapshots, ams.age_s) == ("ams", 1, 1, 5 * 3600)
    assert (fra.cluster, fra.objects, fra.snapshots, fra.age_s) == ("fra", 3, 2, 4 * 3600)
    assert (fra.taken_at, fra.imported_at, fra.file) == (BEGIN + 2 * HOUR, BEGIN + 5 * HOUR, "fra.json")
    assert [(kind.group, kind.kind, kind.objects) for kind in fra.kinds] == [
        ("", "Pod", 1),
        ("apps", "Deployment", 2),
    ]
    assert len(fra.digest) == 64


def test_of_two_of_one_moment_the_last_import_is_shown(session: Session, tenant: str) -> None:
    take(session, tenant, "fra", BEGIN, POD)
    reading = Reading("again.json")
    reading.feed(json.dumps({"items": [WEB]}).encode())
    later = BEGIN + 6 * HOUR
    import_snapshot(session, reading.finish(), tenant=tenant, cluster="fra", taken_at=BEGIN, now=later)

    (fra,) = inventory_answer(session, now=later, tenant=tenant).rows

    assert (fra.file, fra.imported_at, [kind.kind for kind in fra.kinds]) == (
        "again.json",
        later,
        ["Deployment"],
    )


def test_a_clock_ahead_makes_no_age_below_nothing(session: Session, tenant: str) -> None:
    take(session, tenant, "fra", BEGIN, POD)

    (fra,) = inventory_answer(session, now=BEGIN - HOUR, tenant=tenant).rows

    assert fra.age_s == 0


@pytest.fixture
def command(
    session: Session, tenant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Runs `lowtide inventory` against the process's engine, an hour after the last import."""

    def ask(_run: Any, _settings: Any, path: str, params: Any, _model: Any, local: Any) -> InventoryAnswer:
        assert (path, params) == ("/api/v1/inventory", {"tenant": tenant})
        return InventoryAnswer.model_validate_json(local(session, None, BEGIN + 6 * HOUR).model_dump_json())

    monkeypatch.setattr(lowtide.asking, "ask", ask)

    def started(*arguments: str) -> tuple[str, str]:
        assert run(["inventory", "--tenant", tenant, *arguments]) == 0
        out, err = capsys.readouterr()
        return out, err

    return started


def test_the_command_shows_kinds_and_says_how_old_it_is(command: Any, session: Session, tenant: str) -> None:
    take(session, tenant, "fra", BEGIN + HOUR, POD, WEB, QUEUE)
    take(session, tenant, "fra", BEGIN, POD)
    take(session, tenant, "", BEGIN, POD)

    out, err = command()

    assert [line.split() for line in out.splitlines()] == [
        ["Cluster", "API", "group", "Kind", "Objects"],
        ["(no", "name)", "Pod", "1"],
        ["fra", "Pod", "1"],
        ["fra", "apps", "Deployment", "2"],
    ]
    assert (
        "Cluster fra: 3 objects from fra.json, taken 2026-05-04 11:00:00 UTC (5 h ago), "
        "imported 2026-05-04 15:00:00 UTC; 1 other of this cluster beside it." in err
    )
    assert "Cluster (no name): 1 object from .json" in err
    rows = list(csv.DictReader(io.StringIO(command("--output", "csv")[0])))
    assert [(row["cluster"], row["kind"], row["objects"], row["age_s"]) for row in rows] == [
        ("", "Pod", "1", "21600.0"),
        ("fra", "Pod", "1", "18000.0"),
        ("fra", "Deployment", "2", "18000.0"),
    ]
    assert json.loads(command("--output", "json")[0])[2]["snapshots"] == 2


def test_nothing_imported_says_how(command: Any) -> None:
    assert "`lowtide import kubernetes FILE --cluster NAME` takes one in" in command()[1]
    assert json.loads(command("--output", "json")[0]) == []
