"""What the spool forgets, and when nothing may be stored."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ingest.loader.loader import Loader
from ingest.loader.settings import LoaderSettings
from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.checkpoints import Draft
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreDamagedError, StoreUnavailableError

NOW_NS = time.time_ns()
SETTINGS = LoaderSettings(trim_interval_s=3600)
FULL = OSError(errno.ENOSPC, "No space left on device")


class FakeCheckpoints:
    """Fails as told, and remembers."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.covered: list[dict[Signal, int]] = []
        self.disk_failed = False

    def look(self, session: Session) -> Draft:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return Draft(())

    def keep(self, draft: Draft, covered: Any) -> bool:
        self.covered.append(dict(covered))
        return True


@pytest.fixture
def request_body(traces: Callable[..., bytes], made: Any) -> bytes:
    return traces([made(NOW_NS, NOW_NS + 5)])


def loader_of(spool: Spool, engine: Engine, checkpoints: Any, registry: CollectorRegistry) -> Loader:
    return Loader(spool, engine, SETTINGS, registry=registry, checkpoints=checkpoints)


def test_what_is_forgotten_is_in_a_checkpoint(
    spool: Spool, migrated: Engine, tenant: str, request_body: bytes
) -> None:
    checkpoints = FakeCheckpoints()
    loader = loader_of(spool, migrated, checkpoints, CollectorRegistry())
    loader.start()
    for _ in range(3):
        spool.append(Signal.TRACES, tenant, request_body, items=1, received_ns=1).result()
    assert loader.stop(60)

    assert [each[Signal.TRACES] for each in checkpoints.covered] == [0, 3]
    assert spool.safe_seq(Signal.TRACES) == 3


def test_nothing_is_forgotten_without_a_checkpoint(
    spool: Spool, migrated: Engine, tenant: str, request_body: bytes
) -> None:
    checkpoints = FakeCheckpoints(None, OSError(errno.EIO, "Input/output error"))
    loader = loader_of(spool, migrated, checkpoints, CollectorRegistry())
    loader.start()
    spool.append(Signal.TRACES, tenant, request_body, items=1, received_ns=1).result()
    assert loader.stop(60)

    assert spool.unfinished_batches() == []
    assert spool.safe_seq(Signal.TRACES) == 0


def test_nothing_is_stored_before_the_first(
    spool: Spool, migrated: Engine, session: Session, tenant: str, request_body: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("ingest.loader.loader._BEGIN_AGAIN_S", 0.01)
    refused, go_on = threading.Event(), threading.Event()
    checkpoints = FakeCheckpoints(PermissionError("no links here"))

    def look(_: Session) -> Draft:
        if checkpoints.errors:
            raise checkpoints.errors.pop()
        refused.set()
        assert go_on.wait(20)
        return Draft(())

    monkeypatch.setattr(checkpoints, "look", look)
    spool.append(Signal.TRACES, tenant, request_body, items=1, received_ns=1).result()
    loader = loader_of(spool, migrated, checkpoints, CollectorRegistry())
    loader.start()
    assert refused.wait(20)
    count = "SELECT count() FROM otel_traces WHERE tenant = {tenant:String}"
    assert session.value(count, {"tenant": tenant}) == 0
    assert spool.cursor(Signal.TRACES) == 0

    go_on.set()
    assert loader.stop(60)
    assert session.value(count, {"tenant": tenant}) == 1


def test_a_stop_before_the_first(spool: Spool, migrated: Engine) -> None:
    loader = loader_of(spool, migrated, FakeCheckpoints(*[FULL] * 1000), CollectorRegistry())
    loader.start()

    assert not loader.stop(0.01)


def test_a_full_disk_is_given_the_reserve(
    tmp_path: Path, migrated: Engine, tenant: str, request_body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[None] = []
    with Spool.open(tmp_path, SpoolSettings()) as spool:
        make_room = spool.make_room
        monkeypatch.setattr(spool, "make_room", lambda: given.append(make_room()))
        loader = loader_of(spool, migrated, FakeCheckpoints(None, FULL), CollectorRegistry())
        loader.start()
        spool.append(Signal.TRACES, tenant, request_body, items=1, received_ns=1).result()
        assert loader.stop(60)

        assert len(given) == 1
        assert spool.safe_seq(Signal.TRACES) == 1
        assert (tmp_path / "reserve").exists()


def test_a_disk_that_has_failed_ends_loading(spool: Spool, migrated: Engine) -> None:
    checkpoints = FakeCheckpoints()
    loader = loader_of(spool, migrated, checkpoints, CollectorRegistry())
    loader.start()
    assert loader.failed() == ""
    checkpoints.disk_failed = True

    assert "restart the machine" in loader.failed()
    loader.stop(20)


def test_a_part_that_is_not_whole_ends_loading(
    spool: Spool, migrated: Engine, tenant: str, request_body: bytes
) -> None:
    checkpoints = FakeCheckpoints(None, StoreDamagedError("t: part all_1_1_0"))
    loader = loader_of(spool, migrated, checkpoints, CollectorRegistry())
    loader.start()
    spool.append(Signal.TRACES, tenant, request_body, items=1, received_ns=1).result()
    assert not loader.stop(60)

    assert "all_1_1_0" in loader.failed()
    assert "goes back" in loader.failed()
    with pytest.raises(StoreUnavailableError, match="all_1_1_0"):
        loader.keep()  # there are no more
    assert [each[Signal.TRACES] for each in checkpoints.covered] == [0]
    assert spool.safe_seq(Signal.TRACES) == 0


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), StoreDamagedError("t")])
def test_whoever_changed_the_store_is_told_that_there_is_no_checkpoint(
    spool: Spool, migrated: Engine, error: Exception
) -> None:
    checkpoints = FakeCheckpoints(None, None, error)
    loader = loader_of(spool, migrated, checkpoints, CollectorRegistry())
    loader.start()
    assert loader.stop(60)
    with pytest.raises(StoreUnavailableError, match=r"might not survive a kill .* Repeat"):
        loader.keep()


@pytest.mark.embedded("a part is harmed on the disk")
def test_damaged_parts_are_told(store: Engine, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    with store.session() as session:
        session.execute("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        session.execute("INSERT INTO t VALUES (1)")
        session.execute("ALTER TABLE t DETACH PART 'all_1_1_0'")
        place = Path(session.value("SELECT data_paths[1] FROM system.tables WHERE name = 't' AND database ="
                                   " currentDatabase()"))  # fmt: skip
    (place / "detached/all_1_1_0").rename(place / "detached/broken-on-start_all_1_1_0")
    loader = loader_of(spool, store, FakeCheckpoints(), registry)
    loader.start()
    assert loader.stop(20)

    assert loader.broken_parts == 1
    assert registry.get_sample_value("lowtide_store_broken_parts") == 1
