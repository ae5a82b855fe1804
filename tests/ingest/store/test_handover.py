"""The file by which the embedded engine is handed what it inserts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store.handover import Handover


@pytest.fixture(params=["in memory", "in a folder"])
def handover(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Handover]:
    if request.param == "in a folder":
        monkeypatch.delattr("os.memfd_create")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with closing(Handover()) as made:
        yield made


@given(st.lists(st.lists(st.binary(max_size=50), max_size=5), max_size=5))
def test_it_holds_what_it_was_filled_with_last(batches: list[list[bytes]]) -> None:
    with closing(Handover()) as handover:
        for pieces in batches:
            assert Path(handover.fill(iter(pieces))).read_bytes() == b"".join(pieces)


def test_the_file_stays_the_same(handover: Handover) -> None:
    path = handover.fill([b"a" * 100_000])
    node = Path(path).stat().st_ino

    assert handover.fill([b"b" * 10]) == path
    assert Path(path).stat().st_ino == node
    assert Path(path).read_bytes() == b"b" * 10


def test_a_write_in_parts_is_gone_on_with(handover: Handover, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr("os.pwrite", lambda handle, data, at: whole(handle, data[:3], at))

    assert Path(handover.fill([b"abcdefgh", b"", b"ij"])).read_bytes() == b"abcdefghij"


def test_nothing_is_left_behind(handover: Handover, tmp_path: Path) -> None:
    handover.fill([b"a"])
    handover.close()
    handover.close()

    assert list(tmp_path.iterdir()) == []
    with closing(handover):
        assert Path(handover.fill([b"again"])).read_bytes() == b"again"


def test_a_failed_write_is_said(handover: Handover, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    handover.fill([b"before"])
    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        handover.fill([b"after"])
