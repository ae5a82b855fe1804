"""The budget is never exceeded and always given back."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.admission import Admission, Lease
from collector.refusals import OverloadedError


def test_a_lease_holds_and_gives_back() -> None:
    admission = Admission(100)
    with admission.lease(60) as lease:
        assert admission.used_bytes == 60
        lease.grow(40)
        assert admission.used_bytes == 100
        lease.settle(10)
        assert admission.used_bytes == 10
        lease.settle(90)
        assert admission.used_bytes == 90
    assert admission.used_bytes == 0
    lease.close()
    assert admission.used_bytes == 0


def test_above_the_budget_is_refused_and_changes_nothing() -> None:
    admission = Admission(100)
    lease = admission.lease(60)
    with pytest.raises(OverloadedError):
        admission.lease(41)
    with pytest.raises(OverloadedError):
        lease.grow(41)
    with pytest.raises(OverloadedError):
        lease.settle(101)
    assert admission.used_bytes == 60
    lease.close()
    assert admission.used_bytes == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["open", "grow", "settle", "close"]), st.integers(0, 60), st.integers(0, 9))
    )
)
def test_the_sum_is_what_the_leases_hold(steps: list[tuple[str, int, int]]) -> None:
    admission = Admission(100)
    leases: list[Lease] = []
    held: list[int] = []
    for what, size, pick in steps:
        at = pick % len(leases) if leases else 0
        try:
            if what == "open":
                leases.append(admission.lease(size))
                held.append(size)
            elif leases and what == "grow":
                leases[at].grow(size)
                held[at] += size
            elif leases and what == "settle":
                leases[at].settle(size)
                held[at] = size
            elif leases:
                leases[at].close()
                held[at] = 0
        except OverloadedError:
            pass
        assert admission.used_bytes == sum(held) <= 100
    for lease in leases:
        lease.close()
    assert admission.used_bytes == 0


def test_threads_share_one_sum() -> None:
    admission = Admission(10_000)

    def work() -> None:
        for _ in range(2000):
            with admission.lease(3) as lease:
                lease.grow(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admission.used_bytes == 0
