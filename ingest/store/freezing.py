"""Holds the embedded store still for a backup: every part as it is at one moment, by hard links, and what the
engine needs beside them to go on from there. `lowtide.backup.cut` calls it.

The engine's FREEZE links the parts of a table in milliseconds, whatever their size. What it leaves out is
named here by the place it has in the store's directory: definitions, mutations under way, and the logs of
deduplication, without which a batch that is repeated after a restore would be stored twice.

The trap: tables are frozen one after the other, so nothing may be inserted meanwhile; merges may go on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreConfigError, StoreRefusedError
from ingest.store.migrate import applied_number
from ingest.store.target import Embedded

FREEZE_NAME: Final = "lowtide_backup"
"""Letters and _ only: the engine escapes all else in the folder's name."""
_SHADOW: Final = "shadow"
_PARTS: Final = "store"
_METADATA: Final = "metadata"
_TOKENS: Final = "deduplication_logs"
_COUNT: Final = "count.txt"
_FREEZE: Final = (
    f"ALTER TABLE {{table:Identifier}} FREEZE WITH NAME '{FREEZE_NAME}'"
    " SETTINGS alter_partition_verbose_result = 1"
)
"""Answers with a row for each part."""
_UUID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A store held still."""

    parts: Path
    """A folder of nothing but parts, at the places they have below `<store>/store`."""
    rows: Mapping[str, int]
    """Rows in those parts, by table."""
    schema: int | None
    """The last migration that was applied; None before the first."""
    engine: str
    """The engine's version."""
    tenants: tuple[str, ...]


def freeze(engine: Engine) -> Frozen:
    """Link every part of the store as it is now. `unfreeze` lets them go. Raises StoreError."""
    directory = _directory(engine)
    unfreeze(directory)
    with engine.session() as session:
        tables = _tables(session)
        parts = directory / _SHADOW / FREEZE_NAME / _PARTS
        count = sum(
            len(session.raw(_FREEZE, {"table": name}, fmt="TabSeparated").splitlines())
            for name in tables.values()
        )
        found = list(parts.glob(f"*/*/*/{_COUNT}"))
        if len(found) != count:
            raise StoreRefusedError(
                f"the engine says it froze {count} parts, and {len(found)} lie in {parts}"
            )
        return Frozen(
            parts=parts,
            rows=_rows(found, tables),
            schema=applied_number(session),
            engine=str(session.value("SELECT version()")),
            tenants=_tenants(session, tables),
        )


def unfreeze(directory: Path) -> None:
    """Let the links of a `freeze` go; nothing happens if there are none. `directory` is the store's. Raises
    OSError."""
    frozen = directory / _SHADOW / FREEZE_NAME
    if frozen.exists():
        # The engine's own statement for this is switched off unless its configuration says otherwise.
        shutil.rmtree(frozen)


def files_beside_parts(directory: Path) -> Iterator[Path]:
    """What else belongs to the store, relative to its directory: definitions of databases and tables, and for
    each table its format, mutations and logs of deduplication. Links are left out, the engine makes them
    anew."""
    for path in _files(directory / _METADATA):
        yield path.relative_to(directory)
    for owner in sorted((directory / _PARTS).glob("*/*")):
        if _UUID.match(owner.name):
            for path in (*_files(owner), *_files(owner / _TOKENS)):
                yield path.relative_to(directory)


def deduplication_windows(target: Embedded) -> Mapping[str, int]:
    """How many inserts each table of a store on disk remembers, 0 for those that say nothing; none if there
    is no store. Read from its definitions, so also while the engine runs. Raises OSError."""
    definition = target.directory / _METADATA / f"{target.database}.sql"
    if not definition.is_file():
        return {}
    uuid = re.search(r"UUID '([0-9a-f-]+)'", definition.read_text(encoding="utf-8"))
    found = {}
    for path in (target.directory / _PARTS).glob(f"*/{uuid[1] if uuid else ''}/*.sql"):
        text = path.read_text(encoding="utf-8")
        engine = re.search(r"^ENGINE = (\w*)MergeTree", text, re.MULTILINE)
        if engine is not None and path.stem != "schema_migrations":
            window = re.search(r"non_replicated_deduplication_window = (\d+)", text)
            found[path.stem] = int(window[1]) if window else 0
    return found


def _directory(engine: Engine) -> Path:
    if not isinstance(engine.target, Embedded):
        raise StoreConfigError(
            f"{engine.target} is backed up by its own means; only the embedded store is here"
        )
    return engine.target.directory


def _files(folder: Path) -> list[Path]:
    """The plain files of a folder, without those being written."""
    if not folder.is_dir():
        return []
    return sorted(
        each
        for each in folder.iterdir()
        if each.is_file() and not each.is_symlink() and not each.name.endswith(".tmp")
    )


def _tables(session: Session) -> dict[str, str]:
    """Tables that have parts, by their UUID."""
    rows = session.rows(
        "SELECT toString(uuid), name FROM system.tables"
        " WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND has_own_data ORDER BY name"
    )
    return {str(uuid): str(name) for uuid, name in rows}


def _rows(counts: Iterable[Path], tables: Mapping[str, str]) -> Mapping[str, int]:
    """Counted from the parts themselves: the tables go on while they are frozen."""
    rows = dict.fromkeys(tables.values(), 0)
    for count in counts:
        rows[tables[count.parents[1].name]] += int(count.read_text())
    return rows


def _tenants(session: Session, tables: Mapping[str, str]) -> tuple[str, ...]:
    """Whose telemetry is there. The hourly volume knows them all, and is small."""
    if "telemetry_volume_1h" not in tables.values():
        return ()
    return tuple(
        str(tenant)
        for (tenant,) in session.rows("SELECT DISTINCT tenant FROM telemetry_volume_1h ORDER BY 1")
    )
