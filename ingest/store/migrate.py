"""Brings the store to the schema this version needs. Run by `lowtide serve` before anything is stored, and by
`lowtide migrate`.

A migration is a numbered folder of statements, one object a file; what was applied is kept in
`schema_migrations` with a checksum. Retention is no migration: it follows the settings at every start.

The traps: statements must be repeatable (IF NOT EXISTS), because a crash may stop a migration half way, and
rows of an embedded store go back to what they were before it unless a checkpoint was taken since; a migration
that was released is never edited, only followed by another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import structlog

from ingest.store.engine import Session
from ingest.store.errors import StoreConfigError
from ingest.store.settings import StoreSettings
from ingest.store.template import render

_log = structlog.get_logger(__name__)

DEDUPLICATION_WINDOW = 100_000
"""Inserts that each table remembers at least. `ingest.loader.lead` sees to it that no batch needs more."""

MERGED_AT_ONCE = 10
"""Parts of like size that a merge waits for. Each merge costs a span nearly as much as inserting it did; with
ten, a row is merged twice until it lies in a part of ten million."""

ONE_FILE_BYTES = 128 << 20
"""Parts of less, not compressed, keep their columns in one file, as all does that an insert writes: a batch
of spans has some 55 MB. Otherwise it were 137 files, each written through memory of its own."""

_TABLE_SETTINGS = (
    f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}, ttl_only_drop_parts = 1,"
    f" min_parts_to_merge_at_once = {MERGED_AT_ONCE}, min_bytes_for_wide_part = {ONE_FILE_BYTES}"
)
_RETENTION = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<table>\w+).*\nTTL (?P<ttl>[^\n]+ \+ INTERVAL (?P<days>\d+) DAY)",
    re.DOTALL,
)
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32,
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A numbered step: its statements, rendered and in order, as (file name, SQL).

    `checksum` is of the statements, fragments included, with placeholders for retention, so that it does not
    change with the settings.
    """

    number: int
    name: str
    statements: tuple[tuple[str, str], ...]
    checksum: str


def template_values(days: Mapping[str, object]) -> Mapping[str, str]:
    """What the statements' placeholders stand for, given the days of retention by name."""
    return {
        "merge_tree": "MergeTree",
        "aggregating": "AggregatingMergeTree",
        "replacing": "ReplacingMergeTree",
        "table_settings": _TABLE_SETTINGS,
        **{f"retention_{name}": str(value) for name, value in days.items()},
    }


def migrations(settings: StoreSettings) -> list[Migration]:
    """Every migration of this version, in order."""
    days = settings.retention.model_dump()
    values, neutral = template_values(days), template_values(dict.fromkeys(days, "N"))
    root = files("ingest.store").joinpath("migrations")
    found = sorted((entry for entry in root.iterdir() if entry.is_dir()), key=lambda entry: entry.name)
    return [_read(entry, values, neutral) for entry in found if entry.name[:4].isdigit()]


def plan(session: Session, settings: StoreSettings) -> list[Migration]:
    """The migrations that are still to be applied. Changes nothing.

    Raises StoreConfigError if the store was migrated by a newer or an unreleased version.
    """
    applied = _applied(session)
    known = migrations(settings)
    unknown = applied.keys() - {migration.number for migration in known}
    if unknown:
        raise StoreConfigError(
            f"the store was migrated by a newer Lowtide (migration {max(unknown)}, this version knows"
            f" {max(migration.number for migration in known)}): start that one, or use another data directory"
        )
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise StoreConfigError(
                f"migration {migration.number} ({migration.name}) was applied here in another form: it"
                " comes from a version that was never released. Use another data directory"
            )
    return [migration for migration in known if migration.number not in applied]


def migrate(session: Session, settings: StoreSettings) -> list[Migration]:
    """Apply what is missing, and bring retention and checks up to date. Raises StoreError."""
    session.execute(_LEDGER)
    missing = plan(session, settings)
    for migration in missing:
        for _, statement in migration.statements:
            session.execute(statement)
        session.execute(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES"
            " ({number:UInt32}, {name:String}, {checksum:String})",
            {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
        )
        _log.info("Migration applied", number=migration.number, name=migration.name)
    _apply_retention(session, settings)
    check_tables(session)
    return missing


def check_tables(session: Session) -> None:
    """Every table must remember enough inserts, or a retry would store data twice. Raises
    StoreConfigError."""
    weak = [name for name, window in windows(session).items() if window < DEDUPLICATION_WINDOW]
    if weak:
        raise StoreConfigError(
            f"tables without deduplication of retried inserts: {', '.join(sorted(weak))}. Run ALTER TABLE"
            f" <table> MODIFY SETTING non_replicated_deduplication_window = {DEDUPLICATION_WINDOW} for each"
        )


def applied_number(session: Session) -> int | None:
    """The last migration that was applied to a store, None before the first. Raises StoreError."""
    return max(_applied(session), default=None)


def newest_number() -> int:
    """The last migration that this version knows."""
    return max(migration.number for migration in migrations(StoreSettings()))


def windows(session: Session) -> dict[str, int]:
    """How many inserts each table remembers, 0 for those that say nothing. Raises StoreError."""
    rows = session.rows(
        "SELECT name, create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'schema_migrations'"
        " AND has_own_data"
    )
    return {str(name): _window_of(definition) for name, definition in rows}


def _apply_retention(session: Session, settings: StoreSettings) -> None:
    """Tables whose data is kept for another time than the settings say get the new one."""
    current = dict(
        session.rows(
            "SELECT name, toUInt32OrZero(extract(create_table_query, 'toIntervalDay\\\\((\\\\d+)\\\\)'))"
            " FROM system.tables WHERE database = currentDatabase()"
        )
    )
    for migration in migrations(settings):
        for _, statement in migration.statements:
            wanted = _RETENTION.search(statement)
            if wanted and current.get(wanted["table"]) != int(wanted["days"]):
                session.execute(f"ALTER TABLE {wanted['table']} MODIFY TTL {wanted['ttl']}")
                _log.info("Retention changed", table=wanted["table"], days=int(wanted["days"]))


def _window_of(definition: str) -> int:
    _, found, rest = definition.partition("deduplication_window = ")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return int(digits) if found and digits else 0


def _applied(session: Session) -> dict[int, str]:
    if not session.value("EXISTS TABLE schema_migrations"):
        return {}
    return dict(session.rows("SELECT number, checksum FROM schema_migrations"))


def _read(folder: Traversable, values: Mapping[str, str], neutral: Mapping[str, str]) -> Migration:
    number, _, name = folder.name.partition("_")
    texts = [
        (file.name, file.read_text(encoding="utf-8"))
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if file.name.endswith(".sql")
    ]
    signed = "\0".join(part for file, text in texts for part in (file, _statement(text, neutral)))
    statements = tuple((file, _statement(text, values)) for file, text in texts)
    return Migration(int(number), name, statements, hashlib.sha256(signed.encode()).hexdigest())


def _statement(text: str, values: Mapping[str, str]) -> str:
    """One file as the engine gets it, without the comment above it."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return render("\n".join(lines), values).strip()
