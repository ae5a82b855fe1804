"""Reading ahead: the order, how far, and what happens when a read fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from analytics.ahead import Reader


def test_reads_happen_in_order_on_one_thread_and_one_ahead() -> None:
    done: list[int] = []
    threads: set[int] = set()
    third = threading.Event()

    def read(number: int) -> Callable[[], int]:
        def work() -> int:
            done.append(number)
            threads.add(threading.get_ident())
            if number == 2:
                third.set()
            return number * 10

        return work

    with Reader() as reader:
        takes = [reader.plan(read(number)) for number in range(5)]
        assert done == []
        assert [takes[0](), takes[1]()] == [0, 10]
        assert third.wait(20), "the next one is read without being asked for"
        assert done == [0, 1, 2]
        assert [take() for take in takes[2:]] == [20, 30, 40]

    assert done == [0, 1, 2, 3, 4]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_what_a_read_raises_is_raised_where_it_is_taken() -> None:
    def fail() -> None:
        raise OSError("away")

    with Reader() as reader:
        first, second = reader.plan(lambda: 1), reader.plan(fail)
        assert first() == 1
        with pytest.raises(OSError, match="away"):
            second()


def test_the_session_is_free_when_the_block_ends() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go_on.wait(20)
        ended.set()

    def fail_meanwhile() -> None:
        with Reader() as reader:
            first = reader.plan(lambda: 1)
            reader.plan(slow)
            first()
            assert begun.wait(20)
            go_on.set()
            raise KeyError("in the computation")

    with pytest.raises(KeyError):
        fail_meanwhile()
    assert ended.is_set()
