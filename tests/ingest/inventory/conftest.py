"""Snapshots of clusters: the recorded ones, and small ones made from a few words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ingest.inventory.importing import import_snapshot
from ingest.inventory.report import InventoryReport
from ingest.inventory.snapshot import Limits, Reading, Snapshot
from ingest.store.engine import Session

DATA = Path(__file__).parent / "data"
RECORDED = tuple(sorted(path.name for path in DATA.glob("*.json")))
BEGIN = datetime(2026, 5, 4, 10, tzinfo=UTC)


def thing(
    kind: str, name: str, *, version: str = "v1", namespace: str = "shop", **more: Any
) -> dict[str, Any]:
    """An object; `labels` and `owner` (kind, name) go where they belong."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}"}
    if "labels" in more:
        metadata["labels"] = more.pop("labels")
    if "owner" in more:
        owner_kind, owner_name = more.pop("owner")
        metadata["ownerReferences"] = [{"kind": owner_kind, "name": owner_name, "controller": True}]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def listed(*objects: Any) -> bytes:
    """As kubectl writes them."""
    return json.dumps({"apiVersion": "v1", "items": list(objects), "kind": "List"}, indent=4).encode()


def read(content: bytes | Iterable[bytes], name: str = "cluster.json", **limits: int) -> Snapshot:
    """All of it, in the pieces that are given."""
    reading = Reading(name, Limits(**limits))
    for piece in [content] if isinstance(content, bytes) else content:
        reading.feed(piece)
    return reading.finish()


class Imports:
    """Imports of one tenant, a minute after each other; and what is in the tables afterwards."""

    def __init__(self, session: Session, tenant: str) -> None:
        self.session, self.tenant = session, tenant
        self._minutes = count()

    def take(self, content: bytes, cluster: str = "one", **more: Any) -> InventoryReport:
        now = more.pop("now", BEGIN + timedelta(minutes=next(self._minutes)))
        given = {"tenant": self.tenant, "cluster": cluster, "taken_at": now, "now": now, **more}
        return import_snapshot(self.session, read(content), **given)

    def rows(self, columns: str, table: str = "kubernetes_inventory") -> list[Any]:
        query = f"SELECT {columns} FROM {table} WHERE tenant = {{tenant:String}} ORDER BY ALL"  # noqa: S608
        return self.session.rows(query, {"tenant": self.tenant})


@pytest.fixture
def imports(session: Session, tenant: str) -> Imports:
    return Imports(session, tenant)


@pytest.fixture(params=RECORDED)
def recorded(request: pytest.FixtureRequest) -> Path:
    """Each recorded dump."""
    return DATA / str(request.param)


@pytest.fixture(scope="session")
def make() -> Any:
    """`make.thing(...)`, `make.listed(...)`, `make.read(...)`, `make.data`."""

    class Make:
        thing = staticmethod(thing)
        listed = staticmethod(listed)
        read = staticmethod(read)
        data = DATA

    return Make
