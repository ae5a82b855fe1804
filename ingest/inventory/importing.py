"""Imports a snapshot of a cluster: stores its objects, then lets them count, by one insert.

`lowtide.serve.inventory` calls `import_snapshot`, for the API and for the command alike. Of the snapshots of
a cluster the latest counts, as a whole: what is not in it is not there any more. An older one that comes
later is kept beside it. The same file again changes nothing.

The trap: objects are stored in several inserts and may be broken off anywhere; they count only once
`kubernetes_snapshots` names their snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from ingest.inventory.errors import InventoryError
from ingest.inventory.kinds import ASKED_FOR, KINDS, NEVER_KEPT
from ingest.inventory.objects import KubernetesObject
from ingest.inventory.report import InventoryReport, KindCount
from ingest.inventory.snapshot import Snapshot
from ingest.inventory.workloads import Makers, makers, unknown_owners, workload_of
from ingest.store.engine import Session
from ingest.store.sql import load_sql

AHEAD: Final = timedelta(minutes=10)
"""Clocks differ by so much at most."""
_ROWS_AT_ONCE: Final = 4_000
_FORGET_AFTER: Final = timedelta(days=1)
_MILLISECONDS: Final = pa.timestamp("ms", "UTC")
_OBJECTS: Final = pa.schema({
    **dict.fromkeys(("tenant", "cluster", "snapshot_id"), pa.string()),
    **dict.fromkeys(("taken_at", "imported_at"), _MILLISECONDS),
    **dict.fromkeys(("api_group", "api_version", "kind", "namespace", "name", "uid"), pa.string()),
    "created_at": pa.uint32(),
    "labels": pa.map_(pa.string(), pa.string()),
    **dict.fromkeys(("owner_kind", "owner_name", "workload_kind", "workload_name", "extract"), pa.string()),
})  # fmt: skip
_SNAPSHOTS: Final = pa.schema({
    **dict.fromkeys(("tenant", "cluster", "snapshot_id"), pa.string()),
    **dict.fromkeys(("taken_at", "imported_at"), _MILLISECONDS),
    **dict.fromkeys(("file", "digest"), pa.string()),
    "objects": pa.uint64(),
})  # fmt: skip
Inserting = Callable[[], AbstractContextManager[object]]


def import_snapshot(
    session: Session,
    snapshot: Snapshot,
    *,
    tenant: str,
    cluster: str,
    taken_at: datetime,
    now: datetime,
    inserting: Inserting = nullcontext,
) -> InventoryReport:
    """Import what was read. `inserting` holds off whoever looks at the store's parts meanwhile.

    Raises InventoryError if it was taken in the future, StoreError; then nothing of it counts.
    """
    if taken_at > now + AHEAD:
        raise InventoryError(
            [f"{snapshot.name}: {taken_at.isoformat()} lies in the future, so it was not taken then"]
        )
    known = session.rows(load_sql("ingest.inventory", "snapshots"), {"tenant": tenant, "cluster": cluster})
    taken_at, now = _to_milliseconds(taken_at), _to_milliseconds(now)
    makers_ = makers(snapshot.objects)
    for place, (snapshot_id, was_taken_at, digest) in enumerate(known):
        if digest == snapshot.digest:
            return _report(
                snapshot, makers_, "unchanged", snapshot_id, cluster, was_taken_at, place == 0, None
            )
    newest: datetime | None = known[0][1] if known else None
    is_latest = newest is None or taken_at >= newest
    snapshot_id = f"{now:%Y%m%dT%H%M%S.%fZ}-{snapshot.digest[:12]}"
    common = {
        "tenant": tenant, "cluster": cluster, "snapshot_id": snapshot_id, "taken_at": taken_at,
        "imported_at": now,
    }  # fmt: skip
    for rows in _rows(snapshot.objects, makers_):
        with inserting():
            _insert(session, "kubernetes_objects", [{**common, **row} for row in rows], _OBJECTS)
    about = {"file": snapshot.name, "digest": snapshot.digest, "objects": len(snapshot.objects)}
    with inserting():
        _insert(session, "kubernetes_snapshots", [{**common, **about}], _SNAPSHOTS)
    _forget(session, tenant, now)
    return _report(
        snapshot,
        makers_,
        "imported",
        snapshot_id,
        cluster,
        taken_at,
        is_latest,
        newest if is_latest else None,
    )


def _rows(objects: Sequence[KubernetesObject], known: Makers) -> Iterator[list[dict[str, Any]]]:
    for at in range(0, len(objects), _ROWS_AT_ONCE):
        yield [_row(one, known) for one in objects[at : at + _ROWS_AT_ONCE]]


def _row(one: KubernetesObject, known: Makers) -> dict[str, Any]:
    workload_kind, workload_name = workload_of(one, known)
    return {
        "api_group": one.group, "api_version": one.version, "kind": one.kind, "namespace": one.namespace,
        "name": one.name, "uid": one.uid,
        "created_at": int(one.created_at.timestamp()) if one.created_at else 0,
        "labels": list(one.labels.items()), "owner_kind": one.owner_kind, "owner_name": one.owner_name,
        "workload_kind": workload_kind, "workload_name": workload_name, "extract": one.extract,
    }  # fmt: skip


def _insert(session: Session, table: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    session.insert_raw(table, [sink.getvalue().to_pybytes()], fmt="ArrowStream", settings={})


def _forget(session: Session, tenant: str, now: datetime) -> None:
    """Take away what imports that were broken off have left, some time later."""
    bound = {"tenant": tenant, "before": (now - _FORGET_AFTER).replace(tzinfo=None)}
    if session.value(load_sql("ingest.inventory", "dead_objects"), bound):
        session.execute(load_sql("ingest.inventory", "forget_objects"), bound, {"mutations_sync": 2})


def _to_milliseconds(time: datetime) -> datetime:
    time = time.astimezone(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _report(
    snapshot: Snapshot,
    known: Makers,
    status: str,
    snapshot_id: str,
    cluster: str,
    taken_at: datetime,
    is_latest: bool,
    previous_taken_at: datetime | None,
) -> InventoryReport:
    kinds = Counter((one.group, one.kind) for one in snapshot.objects)
    there = {kind for _, kind in kinds}
    return InventoryReport.model_validate({
        "status": status, "snapshot_id": snapshot_id, "cluster": cluster, "taken_at": taken_at,
        "is_latest": is_latest, "previous_taken_at": previous_taken_at, "file": snapshot.name,
        "digest": snapshot.digest, "objects": len(snapshot.objects),
        "kinds": (
            *(_kept(group, kind, count) for (group, kind), count in sorted(kinds.items())),
            *(_left_out(group, kind, count) for (group, kind), count in sorted(snapshot.left_out.items())),
        ),
        "repeated": snapshot.repeated, "unknown_owners": unknown_owners(snapshot.objects, known),
        "absent_kinds": tuple(kind for kind in ASKED_FOR if kind not in there),
        "notes": tuple(_notes(snapshot, taken_at, is_latest)),
    })  # fmt: skip


def _kept(group: str, kind: str, count: int) -> KindCount:
    kept: Any = "fields" if (group, kind) in KINDS else "metadata"
    return KindCount(group=group, kind=kind, objects=count, kept=kept, why="")


def _left_out(group: str, kind: str, count: int) -> KindCount:
    return KindCount(group=group, kind=kind, objects=count, kept="nothing", why=NEVER_KEPT[group, kind])


def _notes(snapshot: Snapshot, taken_at: datetime, is_latest: bool) -> Iterator[str]:
    if not is_latest:
        yield f"It is of {taken_at:%Y-%m-%d %H:%M:%S} UTC. A later snapshot counts; this one stays beside it."
    secrets = snapshot.left_out[("", "Secret")]
    if secrets:
        some = "1 Secret was" if secrets == 1 else f"{secrets} Secrets were"
        yield f"{some} in it. Nothing of them was stored; the file has them still."
