"""Going back to a checkpoint: whatever happened to the files since, and wherever it is broken off."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.signals import Signal
from ingest.store.checkpoint_format import (
    LOGS_NAME,
    PARTS_NAME,
    TAILS_NAME,
    Checkpoint,
    KeptPart,
    KeptTable,
    decode,
    encode,
)
from ingest.store.part_links import link_part
from ingest.store.put_back import clear, put_back
from ingest.store.token_tails import TokenTails

FOLDER = "store/abc/abcdef"
OLD = ("20260101_1_4_1", "20260101_5_5_0", "20260102_6_6_0")
YOUNG = ("20260101_1_5_2", "20260102_7_7_0")
"""The first is what two of the old ones were merged into."""
TOKENS = b"".join(b"1\t20260101_%d_%d_0\t%d_%d\n" % (n, n, n * 17, n * 13) for n in range(1, 7))
MORE = b"1\t20260102_7_7_0\t119_91\n"
ANYTHING = st.sampled_from(["whole", "gone", "empty", "a file less", "a file more"])


def write_part(folder: Path, text: str) -> None:
    (folder / "words.proj").mkdir(parents=True)
    for name in ("data.bin", "checksums.txt", "words.proj/data.bin"):
        (folder / name).write_text(f"{text} {name}")


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Place:
    """A store of one table, and its checkpoint."""

    directory: Path
    checkpoint: Checkpoint
    was: dict[str, bytes]

    @property
    def table(self) -> Path:
        return self.directory / FOLDER

    @property
    def folder(self) -> Path:
        return self.directory / "checkpoint"


def made(directory: Path) -> Place:
    shutil.rmtree(directory, ignore_errors=True)
    table, folder = directory / FOLDER, directory / "checkpoint"
    copies, tails = folder / PARTS_NAME / "abcdef", folder / TAILS_NAME
    for path in (table / LOGS_NAME, copies, tails):
        path.mkdir(parents=True)
    (table / "format_version.txt").write_text("1")
    (table / LOGS_NAME / "deduplication_log_1.txt").write_bytes(TOKENS)
    for name in OLD:
        write_part(table / name, name)
    kept = {name: KeptPart(name, link_part(table / name, copies / name)) for name in OLD}
    logs = TokenTails(tails).keep("abcdef", table)
    checkpoint = Checkpoint(1, dict.fromkeys(Signal, 5), (KeptTable("t", FOLDER, kept, logs),))
    was = content(table)
    for name in YOUNG:
        write_part(table / name, name)
    with (table / LOGS_NAME / "deduplication_log_1.txt").open("ab") as log:
        log.write(MORE)
    return Place(directory, checkpoint, was)


def harm(part: Path, how: str) -> None:
    if how == "gone":
        shutil.rmtree(part)
    elif how == "empty":
        # As another file: the old one is on the disk.
        (part / "data.bin").unlink()
        (part / "data.bin").write_bytes(b"")
    elif how == "a file less":
        (part / "data.bin").unlink()
    elif how == "a file more":
        (part / "txn_version.txt").write_text("1")


class Broken(BaseException):
    """The power fails again."""


def breaking(patch: pytest.MonkeyPatch, after: int) -> None:
    """Let so many changes of files through, and no more."""
    left = after

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Broken
            return original(*arguments, **named)

        return change

    for place, name in (
        (os, "link"), (os, "unlink"), (os, "rmdir"), (Path, "rename"), (Path, "unlink"), (Path, "mkdir"),
        (Path, "write_bytes"),
    ):  # fmt: skip
        patch.setattr(place, name, counted(getattr(place, name)))


@settings(max_examples=60)
@given(
    fates=st.fixed_dictionaries(dict.fromkeys(OLD + YOUNG, ANYTHING)),
    tokens=st.one_of(st.none(), st.integers(0, len(TOKENS + MORE))),
    breaks=st.lists(st.integers(0, 40), max_size=3),
)
def test_whatever_happened(
    tmp_path_factory: pytest.TempPathFactory, fates: dict[str, str], tokens: int | None, breaks: list[int]
) -> None:
    place = made(tmp_path_factory.getbasetemp() / "place")
    for name, how in fates.items():
        harm(place.table / name, how)
    log = place.table / LOGS_NAME / "deduplication_log_1.txt"
    if tokens is None:
        log.unlink()
    else:
        os.truncate(log, tokens)

    for after in breaks:
        with pytest.MonkeyPatch.context() as patch:
            breaking(patch, after)
            with suppress(Broken):
                put_back(place.directory, place.checkpoint, place.folder)
    done = put_back(place.directory, place.checkpoint, place.folder)

    # The engine clears away what was begun under a name of its own.
    now = {path: data for path, data in content(place.table).items() if not path.startswith("tmp_")}
    assert now == place.was
    assert (done.problems, done.forgetful, done.parts) == ([], [], 3)
    again = put_back(place.directory, place.checkpoint, place.folder)
    assert (again.returned, again.removed) == (0, 0)


def test_nothing_is_removed_for_a_checkpoint_that_is_not_whole(tmp_path: Path) -> None:
    place = made(tmp_path)
    (place.folder / PARTS_NAME / "abcdef" / OLD[0] / "data.bin").unlink()
    before = content(place.table)

    done = put_back(place.directory, place.checkpoint, place.folder)

    assert len(done.problems) == 1
    assert OLD[0] in done.problems[0]
    assert content(place.table) == before


def test_a_table_that_was_dropped_since_is_left_alone(tmp_path: Path) -> None:
    place = made(tmp_path)
    shutil.rmtree(place.table)

    assert put_back(place.directory, place.checkpoint, place.folder).tables == 0
    assert not place.table.exists()


def test_broken_parts_are_forgotten_if_they_come_again(tmp_path: Path) -> None:
    place = made(tmp_path)
    names = [f"broken-on-start_{OLD[0]}", f"broken-on-start_{YOUNG[0]}_try1", f"ignored_{YOUNG[1]}"]
    for name in names:
        (place.table / "detached" / name).mkdir(parents=True)

    put_back(place.directory, place.checkpoint, place.folder)

    assert {path.name for path in (place.table / "detached").iterdir()} == {names[0], names[2]}


def test_newer_records_of_tokens_are_removed(tmp_path: Path) -> None:
    place = made(tmp_path)
    (place.table / LOGS_NAME / "deduplication_log_2.txt").write_bytes(MORE)

    put_back(place.directory, place.checkpoint, place.folder)

    assert content(place.table) == place.was


def test_a_long_record_of_tokens_that_is_gone_comes_back_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.store.token_tails.KEEP_BYTES", 60)
    place = made(tmp_path)
    log = place.table / LOGS_NAME / "deduplication_log_1.txt"
    log.unlink()

    done = put_back(place.directory, place.checkpoint, place.folder)

    assert done.forgetful == ["t"]
    assert 0 < len(log.read_bytes()) <= 60
    assert TOKENS.endswith(b"\n" + log.read_bytes())  # whole lines


def test_tails_grow_and_are_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.store.token_tails.KEEP_BYTES", 100)
    monkeypatch.setattr("ingest.store.token_tails.MOST_BYTES", 300)
    table, folder = tmp_path / "table", tmp_path / "tails"
    (table / LOGS_NAME).mkdir(parents=True)
    folder.mkdir()
    log = table / LOGS_NAME / "deduplication_log_9.txt"
    tails = TokenTails(folder)
    names = set()
    for number in range(40):
        with log.open("ab") as file:
            file.write(b"1\tall_%d_%d_0\t%d\n" % (number, number, number))
        (kept,) = tails.keep("key", table)
        names.add(kept.tail)
        whole, tail = log.read_bytes(), (folder / kept.tail).read_bytes()
        assert kept.size_bytes == len(whole)
        assert whole[kept.tail_start :] == tail
        assert len(tail) <= 300
    assert len(names) > 2
    tails.forget({kept.tail})
    assert [path.name for path in folder.iterdir()] == [kept.tail]


def test_copies_that_no_checkpoint_names_are_removed(tmp_path: Path) -> None:
    place = made(tmp_path)
    copies = place.folder / PARTS_NAME
    write_part(copies / "abcdef" / "tmp_20260101_9_9_0", "half")
    write_part(copies / "of another table" / "all_1_1_0", "other")

    clear(place.folder, place.checkpoint)
    assert sorted(path.name for path in copies.iterdir()) == ["abcdef"]
    assert sorted(path.name for path in (copies / "abcdef").iterdir()) == sorted(OLD)

    clear(place.folder, None)
    assert list(copies.iterdir()) == []


def test_a_part_that_goes_while_it_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_part(tmp_path / "all_1_1_0", "it")
    link = os.link

    def replaced(*arguments: Any, **named: Any) -> None:
        link(*arguments, **named)
        (tmp_path / "all_1_1_0").rename(tmp_path / "delete_tmp_all_1_1_0")
        write_part(tmp_path / "all_1_1_0", "another")
        monkeypatch.undo()

    monkeypatch.setattr(os, "link", replaced)

    with pytest.raises(FileNotFoundError):
        link_part(tmp_path / "all_1_1_0", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("at", [0, 5, 9, 40])
def test_a_checkpoint_that_is_damaged_is_no_checkpoint(tmp_path: Path, at: int) -> None:
    written = encode(made(tmp_path).checkpoint)
    assert encode(decode(written)) == written
    for damaged in (written[:at], written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :]):
        with pytest.raises(ValueError, match="checksum"):
            decode(damaged)
