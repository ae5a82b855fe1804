"""One engine per test process, and places in it for tests to write to.

A process can hold one embedded engine only, so whoever needs the engine takes it from here. With
`LOWTIDE_TEST_STORE=server` it is not embedded: each test process starts one more, `support.store_server`, and
reaches the engine in there over HTTP, as it would reach a ClickHouse server.

    engine     the engine, opened once per process (with xdist: once per worker); its own database stays empty
    database   the name of a fresh, empty database, dropped after the test
    store      the same engine seen from that database: sessions of `store.session()` are in it
    migrated   the engine on a database with Lowtide's tables, shared by all tests of the process
    session    a session of `migrated`
    tenant     an unused tenant, so that tests find their own rows there
    embedded   `engine`, for tests about what only the embedded one does; they are skipped otherwise
    pki        CAs and certificates, made once per process
    stand_in   that other process, for tests about a store that is a server, whatever `engine` is

The trap: a test must not close `engine`, nor open an engine on another directory.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import hypothesis
import pytest

from ingest.store.engine import Engine, Session
from ingest.store.migrate import migrate
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded
from support import faults
from support.certs import Pki
from support.store_server_process import StoreProcess

STORE = "LOWTIDE_TEST_STORE"
KIND = os.environ.get(STORE, "embedded")

# Examples are the same in every run, and however slow the machine, none is taken for wrong. To look for new
# ones: `make faults`, or --hypothesis-profile=explore.
_UNTIMED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.register_profile("explore", _UNTIMED)
hypothesis.settings.register_profile("lowtide", _UNTIMED, derandomize=True)
hypothesis.settings.load_profile("explore" if faults.LONG else "lowtide")


@pytest.fixture(scope="session", autouse=True)
def no_setting() -> Iterator[None]:
    """These variables are not for Lowtide, which refuses names under its prefix that are no settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (STORE, faults.SHARE_VARIABLE, faults.SEED_VARIABLE):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def faults_of_this_test(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Send what `support.faults` counts along with the report, from whichever process the test runs in."""
    before = Counter(faults.done)
    yield
    for what, count in (faults.done - before).items():
        record_property(_TRIED + what, count)


_TRIED = "tried: "


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tried, in the whole run."""
    tried: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                for name, count in report.user_properties:
                    if name.startswith(_TRIED):
                        tried[name.removeprefix(_TRIED)] += count
    if tried:
        kind = f"long form, seed {faults.SEED}" if faults.LONG else "short form"
        terminalreporter.section(f"faults tried ({kind})")
        for what, count in tried.most_common():
            terminalreporter.line(f"{count:>9,} {what}")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """A server that runs as long as this process."""
    pytest.importorskip("chdb", reason="the embedded engine is not installed")
    started = StoreProcess(tmp_path_factory.mktemp("stand-in")).start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine of this process, on a directory of its own."""
    pytest.importorskip("chdb", reason="the embedded engine is not installed")
    match KIND:
        case "embedded":
            opened = Engine.open(Embedded(tmp_path_factory.mktemp("engine") / "store"))
        case "server":
            opened = Engine.open(request.getfixturevalue("stand_in").target())
        case other:
            pytest.exit(f"{STORE} is {other!r}; it may be `embedded` or `server`", returncode=4)
    yield opened
    opened.close()


@pytest.fixture
def embedded(engine: Engine) -> Engine:
    """The engine if it is embedded."""
    if not engine.is_embedded:
        pytest.skip("about the embedded engine")
    return engine


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
    seen = Engine.open(replace(engine.target, database=database))
    yield seen
    seen.close()


@pytest.fixture(scope="session")
def migrated(engine: Engine) -> Iterator[Engine]:
    """The process's engine on a database with Lowtide's tables, which all tests of the process share."""
    opened = Engine.open(replace(engine.target, database="lowtide_tables"))
    with opened.session() as first:
        migrate(first, StoreSettings())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def session(migrated: Engine) -> Iterator[Session]:
    """A session of `migrated`."""
    with migrated.session() as opened:
        yield opened


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates for all tests of the process, which leave them as they are."""
    return Pki.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has: the way to one's own rows in the shared tables."""
    return f"tenant-{uuid4().hex}"
