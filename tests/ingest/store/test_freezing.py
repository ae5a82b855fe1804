"""The embedded store held still: its parts, and what lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.store.engine import Engine
from ingest.store.errors import StoreConfigError
from ingest.store.freezing import deduplication_windows, files_beside_parts, freeze, unfreeze
from ingest.store.migrate import DEDUPLICATION_WINDOW, migrate, newest_number
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded, Server

of_the_engine = pytest.mark.embedded("Lowtide backs up the files of its own engine")


@pytest.fixture
def tables(store: Engine) -> Engine:
    """A store with Lowtide's tables in a database of the test's own."""
    with store.session() as session:
        migrate(session, StoreSettings())
        session.execute(
            "INSERT INTO otel_logs (tenant, _batch, Timestamp, Body)"
            " SELECT 'mine', 1, now64(9), toString(number) FROM numbers(7)",
            settings={"insert_deduplication_token": "the token"},
        )
        session.execute(
            "INSERT INTO telemetry_volume_1h (tenant, signal, hour, rows, bytes)"
            " VALUES ('mine', 'logs', now(), 7, 7), ('yours', 'logs', now(), 1, 1)"
        )
    return store


def place(store: Engine) -> Path:
    assert isinstance(store.target, Embedded)
    return store.target.directory


@of_the_engine
def test_it_says_what_is_held(tables: Engine) -> None:
    frozen = freeze(tables)
    assert frozen.rows["otel_logs"] == 7
    assert (frozen.rows["schema_migrations"], frozen.rows["otel_traces"]) == (newest_number(), 0)
    assert (frozen.schema, frozen.tenants) == (newest_number(), ("mine", "yours"))
    assert frozen.engine.count(".") == 3
    unfreeze(place(tables))


@of_the_engine
def test_what_is_held_outlives_the_tables_rows(tables: Engine) -> None:
    frozen = freeze(tables)
    with tables.session() as session:
        session.execute("TRUNCATE TABLE otel_logs SYNC")
    assert sum(int(count.read_text()) for count in frozen.parts.glob("*/*/*/count.txt")) >= 7
    assert freeze(tables).rows["otel_logs"] == 0
    unfreeze(place(tables))
    assert not frozen.parts.exists()
    unfreeze(place(tables))


@of_the_engine
def test_what_the_engine_needs_beside_parts(tables: Engine) -> None:
    beside = list(files_beside_parts(place(tables)))
    with tables.session() as session:
        uuid = session.value(
            "SELECT toString(uuid) FROM system.tables"
            " WHERE database = currentDatabase() AND name = 'otel_logs'"
        )
    names = {"/".join(path.parts[3:]) for path in beside if path.parts[2:3] == (uuid,)}
    assert names == {"format_version.txt", "deduplication_logs/deduplication_log_1.txt"}
    assert Path("metadata") / f"{tables.target.database}.sql" in beside
    assert any(path.name == "otel_logs.sql" for path in beside)
    assert all((place(tables) / path).is_file() for path in beside)


@of_the_engine
def test_windows_are_read_from_the_definitions(tables: Engine) -> None:
    assert isinstance(tables.target, Embedded)
    windows = deduplication_windows(tables.target)
    assert windows["otel_logs"] == DEDUPLICATION_WINDOW
    assert "schema_migrations" not in windows
    with tables.session() as session:
        session.execute("CREATE TABLE forgetful (a Int8) ENGINE = MergeTree ORDER BY a")
        session.execute("ALTER TABLE otel_traces MODIFY SETTING non_replicated_deduplication_window = 17")
        session.execute("CREATE TABLE nothing (a Int8) ENGINE = Null")
    found = deduplication_windows(tables.target)
    assert (found["forgetful"], found["otel_traces"]) == (0, 17)
    assert "nothing" not in found
    assert deduplication_windows(Embedded(place(tables), "none")) == {}


def test_a_server_is_not_held() -> None:
    target = Server("host", 8123, "default", "", "lowtide", secure=False)
    with pytest.raises(StoreConfigError, match="by its own means"):
        freeze(Engine(target))
