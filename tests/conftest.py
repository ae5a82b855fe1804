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
    pki        CAs and certificates, made once per process
    stand_in   that other process, for tests about a store that is a server, whatever `engine` is
    launch     real `lowtide` processes of the test; on a server, their store is a database of their own
    launching  the same for fixtures that live longer: `with launching(folder) as launcher`

`@pytest.mark.embedded("why")` is for tests about what only the embedded engine does, or only a store in the
data directory. Where there is none they are skipped, with that reason; docs/server-store.md lists them.

The trap: a test must not close `engine`, nor open an engine on another directory.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
import structlog
import uvloop

from ingest.store.engine import Engine, Session
from ingest.store.migrate import migrate
from ingest.store.settings import StoreSettings
from ingest.store.target import Embedded
from lowtide.logs import QUIET_LOGGERS
from support import faults
from support.certs import Pki
from support.launcher import Launcher
from support.store_server_process import PASSWORD, StoreProcess

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what is marked `embedded` if the store is not."""
    for item in items:
        for mark in item.iter_markers("embedded") if KIND == "server" else ():
            item.add_marker(pytest.mark.skip(reason=f"embedded only: {mark.args[0]}"))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def no_setting() -> Iterator[None]:
    """These variables are not for Lowtide, which refuses names under its prefix that are no settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (STORE, faults.SHARE_VARIABLE, faults.SEED_VARIABLE):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Logging belongs to the process; a test that runs a command takes it over, and hands it back here."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET_LOGGERS}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in quiet.items():
        logging.getLogger(name).setLevel(old)
    structlog.reset_defaults()


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


@pytest.fixture(scope="session")
def launching(request: pytest.FixtureRequest) -> Callable[[Path], AbstractContextManager[Launcher]]:
    """`with launching(folder) as launcher`: processes in that folder, which end with the block."""

    @contextmanager
    def launched(folder: Path) -> Iterator[Launcher]:
        with _own_store(request) as settings:
            launcher = Launcher(folder, settings)
            try:
                yield launcher
            finally:
                launcher.close()
            if launcher.on_server:
                assert not [*folder.glob("*/store")], "an embedded store was opened beside the server's"

    return launched


@contextmanager
def _own_store(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of a store that nobody else uses and that is gone afterwards."""
    if KIND == "embedded":
        yield {}
        return
    name = f"process_{uuid4().hex}"
    there: StoreProcess = request.getfixturevalue("stand_in")
    engine: Engine = request.getfixturevalue("engine")
    yield {"LOWTIDE_STORE__URL": there.address(name), "LOWTIDE_STORE__PASSWORD": PASSWORD}
    with engine.session() as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} SYNC")


@pytest.fixture
def launch(
    launching: Callable[[Path], AbstractContextManager[Launcher]], tmp_path: Path
) -> Iterator[Launcher]:
    """`launch(*arguments)` runs the command, `launch.serve(*arguments)` a server that is ready."""
    with launching(tmp_path) as launcher:
        yield launcher


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
