"""The handles: how many, who waits, and which are not used again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.settings import SqlSettings
from api.sql.errors import SqlBusyError, SqlEngineError, SqlRefusedError
from api.sql.pool import ReadPool, limits
from api.sql.service import SqlService
from ingest.store.engine import Engine
from ingest.store.errors import StoreError, StoreUnavailableError

MakePool = Callable[..., ReadPool]


@pytest.fixture
def make_pool(shop: Engine) -> Iterator[MakePool]:
    made: list[ReadPool] = []

    def make(**settings: float) -> ReadPool:
        made.append(ReadPool(shop, SqlSettings.model_validate(settings)))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


class TestBorrowing:
    def test_a_handle_is_used_again(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1)
        with pool.borrow(None) as first:
            pass
        with pool.borrow(None) as second:
            assert second is first

    def test_two_at_a_time_are_different(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=2)
        with pool.borrow(None) as first, pool.borrow(None) as second:
            assert first is not second

    def test_nobody_waits_if_the_queue_is_full(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1, queue=0)
        with pool.borrow(None), pytest.raises(SqlBusyError, match="queue is full") as busy, pool.borrow(None):
            pass

        assert (busy.value.code, busy.value.retry_after_s) == (202, 1)

    def test_nobody_waits_for_ever(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1, queue=1, queue_wait_s=0.01)
        with pool.borrow(None), pytest.raises(SqlBusyError, match="in time"), pool.borrow(None):
            pass

    def test_one_that_waits_gets_the_handle_that_comes_back(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1, queue=1, queue_wait_s=60)
        begun = threading.Event()

        def waiting() -> object:
            begun.set()
            with pool.borrow(None) as session:
                return session

        with ThreadPoolExecutor(1) as threads:
            with pool.borrow(None) as first:
                found = threads.submit(waiting)
                begun.wait()
            assert found.result() is first

    def test_never_more_than_there_are_workers(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=2, queue=50, queue_wait_s=60)
        lock = threading.Lock()
        now, most = 0, 0

        def work(_: int) -> None:
            nonlocal now, most
            with pool.borrow(None) as session:
                with lock:
                    now += 1
                    most = max(most, now)
                session.value("SELECT count() FROM orders")
                with lock:
                    now -= 1

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(40)))

        assert 1 <= most <= 2

    def test_after_closing_nobody_gets_one(self, make_pool: MakePool) -> None:
        pool = make_pool()
        with pool.borrow(None) as session:
            pool.close()
            assert session.value("SELECT 1") == 1  # what is at work ends first
        with pytest.raises(SqlBusyError, match="stopping"), pool.borrow(None):
            pass

    def test_closing_wakes_those_who_wait(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1, queue=1, queue_wait_s=60)
        begun = threading.Event()

        def waiting() -> None:
            begun.set()
            with pool.borrow(None):
                pass

        with ThreadPoolExecutor(1) as threads, pool.borrow(None):
            found = threads.submit(waiting)
            begun.wait()
            pool.close()
            with pytest.raises(SqlBusyError, match="stopping"):
                found.result()


class TestAfterAnError:
    def test_a_handle_that_failed_is_not_used_again(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1)
        with pytest.raises(StoreError), pool.borrow(None) as failed:
            failed.value("SELECT nothing")
        with pool.borrow(None) as fresh:
            assert fresh is not failed

    def test_one_that_only_refused_is(self, make_pool: MakePool) -> None:
        pool = make_pool(workers=1)
        with pytest.raises(SqlRefusedError), pool.borrow(None) as kept:
            raise SqlRefusedError("no")
        with pool.borrow(None) as again:
            assert again is kept

    def test_what_a_failed_statement_wrote_is_in_no_other_answer(self, shop: Engine) -> None:
        """The embedded engine keeps it in the handle."""
        with SqlService(shop, SqlSettings(workers=1)) as service:
            with pytest.raises(SqlEngineError, match="throwIf"):
                service.answer("SELECT throwIf(number = 300000) FROM numbers(500000)", default_format="JSON")

            assert service.answer("SELECT 1").body == b"1\n"

    def test_a_store_that_is_away_gives_the_place_back(
        self, shop: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise StoreUnavailableError("connection refused")

        with SqlService(shop, SqlSettings(workers=1, queue=0)) as service:
            with monkeypatch.context() as patch:
                patch.setattr(Engine, "session", away)
                for _ in range(3):
                    with pytest.raises(SqlEngineError, match="connection refused") as failed:
                        service.answer("SELECT 1")
            assert failed.value.code == 1002
            assert service.answer("SELECT 1").body == b"1\n"


class TestLimits:
    def test_read_only_comes_last(self) -> None:
        assert list(limits(SqlSettings()).items())[-1] == ("readonly", 1)

    def test_they_are_in_force(self, shop: Engine) -> None:
        wanted = limits(SqlSettings())

        with shop.session(wanted) as session:
            found = dict(
                session.rows(
                    "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)}",
                    {"names": list(wanted)},
                )
            )

        assert found == {name: str(value) for name, value in wanted.items()}
