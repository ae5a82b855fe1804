"""One embedded engine per test process, and places in it for tests to write to.

A process can hold one embedded engine only, so whoever needs the engine takes it from here:

    engine     the engine, opened once per process (with xdist: once per worker); its own database stays empty
    database   the name of a fresh, empty database, dropped after the test
    store      the same engine seen from that database: sessions of `store.session()` are in it
    migrated   the engine on a database with Lowtide's tables, shared by all tests of the process
    session    a session of `migrated`
    tenant     an unused tenant, so that tests find their own rows there

The trap: a test must not close `engine`, nor open an engine on another directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from ingest.store.engine import Engine, Session
from ingest.store.migrate import migrate
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The embedded engine of this process, on a directory of its own."""
    pytest.importorskip("chdb", reason="the embedded engine is not installed")
    opened = Engine.open(Embedded(tmp_path_factory.mktemp("engine") / "store"))
    yield opened
    opened.close()


@pytest.fixture
def database(engine: Engine) -> Iterator[str]:
    """The name of an empty database that lives as long as the test."""
    name = f"test_{uuid4().hex}"
    with engine.session() as session:
        session.execute(f"CREATE DATABASE {name}")
    yield name
    with engine.session() as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} SYNC")


@pytest.fixture
def store(engine: Engine, database: str) -> Iterator[Engine]:
    """The process's engine, with its sessions in the test's own database."""
    assert isinstance(engine.target, Embedded)
    seen = Engine.open(Embedded(engine.target.directory, database))
    yield seen
    seen.close()


@pytest.fixture(scope="session")
def migrated(engine: Engine) -> Iterator[Engine]:
    """The process's engine on a database with Lowtide's tables, which all tests of the process share."""
    assert isinstance(engine.target, Embedded)
    opened = Engine.open(Embedded(engine.target.directory, "lowtide_tables"))
    with opened.session() as first:
        migrate(first, StoreSettings())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def session(migrated: Engine) -> Iterator[Session]:
    """A session of `migrated`."""
    with migrated.session() as opened:
        yield opened


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has: the way to one's own rows in the shared tables."""
    return f"tenant-{uuid4().hex}"
