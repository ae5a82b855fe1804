"""The store's schema: complete, repeatable, and checked before anything is stored."""

from __future__ import annotations

import pytest

from ingest.store import template
from ingest.store.engine import Engine
from ingest.store.errors import StoreConfigError
from ingest.store.migrate import check_tables, migrate, migrations, plan
from ingest.store.settings import Retention, StoreSettings

SETTINGS = StoreSettings()


def test_a_second_run_has_nothing_to_do(store: Engine) -> None:
    with store.session() as session:
        assert plan(session, SETTINGS) == migrations(SETTINGS)
        assert migrate(session, SETTINGS) == migrations(SETTINGS)
        assert plan(session, SETTINGS) == []
        assert migrate(session, SETTINGS) == []


def test_planning_changes_nothing(store: Engine) -> None:
    with store.session() as session:
        plan(session, SETTINGS)
        assert session.rows("SHOW TABLES") == []


def test_a_migration_broken_off_is_finished(store: Engine) -> None:
    with store.session() as session:
        for _, statement in migrations(SETTINGS)[0].statements[:20]:
            session.execute(statement)
        migrate(session, SETTINGS)
        check_tables(session)


def test_a_store_of_a_newer_version_is_refused(store: Engine) -> None:
    with store.session() as session:
        migrate(session, SETTINGS)
        session.execute("INSERT INTO schema_migrations (number, name, checksum) VALUES (9999, 'later', '')")
        with pytest.raises(StoreConfigError, match="newer Lowtide"):
            plan(session, SETTINGS)


def test_a_migration_in_another_form_is_refused(store: Engine) -> None:
    with store.session() as session:
        migrate(session, SETTINGS)
        session.execute("TRUNCATE TABLE schema_migrations")
        session.execute(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES (1, 'telemetry', 'other')"
        )
        with pytest.raises(StoreConfigError, match="in another form"):
            migrate(session, SETTINGS)


def test_a_table_that_forgets_inserts_is_refused(store: Engine) -> None:
    with store.session() as session:
        migrate(session, SETTINGS)
        session.execute("ALTER TABLE red_1m MODIFY SETTING non_replicated_deduplication_window = 100")
        with pytest.raises(StoreConfigError, match="red_1m"):
            check_tables(session)


def test_retention_follows_the_settings(store: Engine) -> None:
    shorter = StoreSettings(retention=Retention(traces_days=7))
    with store.session() as session:
        migrate(session, SETTINGS)
        migrate(session, shorter)
        definitions = dict(
            session.rows(
                "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
            )
        )
    assert "toIntervalDay(7)" in definitions["otel_traces"]
    assert "toIntervalDay(90)" in definitions["otel_logs"]


def test_every_stored_table_has_tenant_first(store: Engine) -> None:
    with store.session() as session:
        migrate(session, SETTINGS)
        keys = session.rows(
            "SELECT name, sorting_key FROM system.tables WHERE database = currentDatabase()"
            " AND engine LIKE '%MergeTree' AND name != 'schema_migrations'"
        )
    assert len(keys) > 10
    assert [name for name, key in keys if not key.startswith("tenant,")] == []


def test_every_raw_table_names_the_batch(store: Engine) -> None:
    raw = {"otel_traces", "otel_logs", "metric_samples", "metric_histograms", "metric_exponential_histograms",
           "metric_summaries"}  # fmt: skip
    with store.session() as session:
        migrate(session, SETTINGS)
        named = {
            name
            for (name,) in session.rows(
                "SELECT table FROM system.columns WHERE database = currentDatabase() AND name = '_batch'"
            )
        }
    assert raw <= named


def test_the_checksum_is_of_what_is_run_but_not_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    before = migrations(SETTINGS)[0].checksum
    assert migrations(StoreSettings(retention=Retention(traces_days=7)))[0].checksum == before

    real = template._fragment
    monkeypatch.setattr(template, "_fragment", lambda name: real(name) + (" " * (name == "identity")) + "1")
    assert migrations(SETTINGS)[0].checksum != before
