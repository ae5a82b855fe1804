"""Power failures: what was not synced is gone, in every table something else, and all the same everything
acknowledged is stored once, in raw tables and rollups.

A process lives with spool and store and is killed. Then its files are made what a power failure may leave of
them: what a checkpoint names is whole, of what is younger anything may be missing or empty, parts that were
merged are removed, and the records of tokens end anywhere. The machine's boot is another one, and a second
process goes on. The store is compared with one that was given each request once, table by table, row by row.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.store.checkpoint_format import LOGS_NAME, Checkpoint, KeptTable, decode, is_part
from support import faults, power_child

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(400),
    pytest.mark.embedded("what power failures do to the files of an engine; a server's are its own business"),
]

ROOT = Path(__file__).parents[3]
LOSSES = faults.times(1, 30)
BOOTS = [f"00000000-0000-4000-8000-{number:012}" for number in range(1, 10)]
RAW = re.compile("otel_logs|otel_traces|metric_(samples|histograms|exponential_histograms|summaries)")
Answer = dict[str, Any]
Rows = dict[str, list[str]]


def spawn(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.power_child", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))},
    )  # fmt: skip


def run(*arguments: object) -> None:
    """To its end, which may be its own SIGKILL."""
    with spawn(*arguments) as process:
        said, _ = process.communicate()
    assert process.returncode in (0, -9), said.decode()


def checked(directory: Path, boot: str) -> Answer:
    out = directory / "answer"
    run("check", directory, boot, out)
    return dict(json.loads(out.read_text()))


def expected(directory: Path, numbers: dict[str, list[int]]) -> Rows:
    directory.mkdir()
    run("expect", directory / "store", directory / "answer", json.dumps(numbers))
    return dict(json.loads((directory / "answer").read_text())["rows"])


def all_of(directory: Path) -> dict[str, list[int]]:
    """The requests that must be in the store, if none is in doubt."""
    tried, sent = (power_child.noted(directory, what) for what in ("tried", "sent"))
    assert tried == sent
    return {signal.value: sorted(sent) for signal in Signal}


def differences(found: Rows, wanted: Rows) -> dict[str, str]:
    return {
        table: f"{len(rows)} rows, not {len(wanted[table])};"
        f" missing {sorted(set(wanted[table]) - set(rows))[:3]},"
        f" surplus {sorted(set(rows) - set(wanted[table]))[:3]}"
        for table, rows in found.items()
        if rows != wanted[table]
    }


# --- what a power failure does


def checkpoint_of(directory: Path) -> Checkpoint:
    """The last; one of nothing if there is none yet: then nothing has been stored either."""
    path = directory / "store/checkpoint/lowtide/checkpoint.json"
    return decode(path.read_bytes()) if path.exists() else Checkpoint(0, {}, ())


def young_parts(directory: Path, table: KeptTable) -> list[Path]:
    folder = directory / "store" / table.folder
    return [path for path in folder.iterdir() if is_part(path.name) and path.name not in table.parts]


def blocks(name: str) -> tuple[str, int, int]:
    partition, first, last = name.split("_")[:3]
    return partition, int(first), int(last)


def covers(one: str, other: str) -> bool:
    (partition, first, last), (other_partition, other_first, other_last) = blocks(one), blocks(other)
    return one != other and partition == other_partition and first <= other_first and other_last <= last


def forget_merged(directory: Path, table: KeptTable) -> None:
    """What the engine does soon after a merge: remove what went into it."""
    folder = directory / "store" / table.folder
    names = [path.name for path in folder.iterdir() if is_part(path.name)]
    for name in names:
        if any(covers(other, name) for other in names):
            shutil.rmtree(folder / name)


def lose(part: Path, how: str, draw: random.Random) -> None:
    """`gone`, `empty`, `some`: only the folder and some of its files are there, or `whole`."""
    if how == "gone":
        shutil.rmtree(part)
    for path in sorted(part.iterdir()) if part.is_dir() else []:
        if how == "empty":
            os.truncate(path, 0)
        elif how == "some" and draw.random() < 0.5:
            path.unlink()


def lose_tokens(directory: Path, table: KeptTable, how: str, draw: random.Random) -> None:
    """`cut` anywhere behind the checkpoint, `empty` altogether, `gone`, or `whole`."""
    for kept in table.logs:
        path = directory / "store" / table.folder / LOGS_NAME / kept.name
        if how == "cut":
            os.truncate(path, draw.randint(kept.size_bytes, path.stat().st_size))
        elif how == "empty":
            os.truncate(path, 0)
        elif how == "gone":
            path.unlink()


def power_failure(
    directory: Path, part_fate: Callable[[str], str], token_fate: Callable[[str], str], seed: int
) -> None:
    draw = random.Random(seed)
    faults.done["power failures"] += 1
    for table in checkpoint_of(directory).tables:
        young = young_parts(directory, table)
        forget_merged(directory, table)
        for part in young:
            if part.is_dir():
                lose(part, part_fate(table.name), draw)
        lose_tokens(directory, table, token_fate(table.name), draw)


# --- one life, many ends


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of it is in a checkpoint; then more came, was merged with that, and more came again."""
    directory = tmp_path_factory.mktemp("lived")
    run(
        "live",
        directory,
        BOOTS[0],
        "send*2",
        "store",
        "keep",
        "send",
        "store",
        "merge",
        "send",
        "store",
        "die",
    )
    return directory


@pytest.fixture(scope="session")
def wanted(lived: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return expected(tmp_path_factory.mktemp("wanted") / "it", all_of(lived))


@pytest.fixture
def dead(lived: Path, tmp_path: Path) -> Path:
    """A copy of it. Files with two names still have two."""
    run_at = tmp_path / "dead"
    subprocess.run(["cp", "-a", lived, run_at], check=True)
    return run_at


FATES = {
    "all parts": (lambda _: "gone", lambda _: "whole"),
    "only tokens": (lambda _: "whole", lambda _: "empty"),
    "raw tables": (lambda table: "empty" if RAW.fullmatch(table) else "whole", lambda _: "cut"),
    "rollups": (lambda table: "whole" if RAW.fullmatch(table) else "gone", lambda _: "gone"),
    "one rollup": (lambda table: "some" if table == "red_1m" else "whole", lambda _: "whole"),
}


@pytest.mark.parametrize("what", FATES)
def test_what_is_lost_is_stored_again(dead: Path, wanted: Rows, what: str) -> None:
    power_failure(dead, *FATES[what], seed=1)

    answer = checked(dead, BOOTS[1])

    assert differences(answer["rows"], wanted) == {}
    assert len(wanted["otel_traces"]) == 4 * power_child.ITEMS
    assert answer["samples"]["put_back_problems"] == answer["samples"]["broken_parts"] == 0
    assert answer["samples"]["put_back_parts"] > 0  # the merged ones


@pytest.mark.parametrize("table", ["otel_logs", "activity_1s", "usage_1m"])
def test_a_kill_between_a_token_and_its_part(dead: Path, wanted: Rows, table: str) -> None:
    """The engine notes the token first. Where it is killed before the part has its name, it has the one and
    not the other, and passes over the batch when it is repeated. The machine goes on running."""
    (kept,) = (each for each in checkpoint_of(dead).tables if each.name == table)
    newest = max(young_parts(dead, kept), key=lambda part: blocks(part.name)[2])
    assert blocks(newest.name)[1] == blocks(newest.name)[2], "of one insert"
    newest.rename(newest.with_name(f"tmp_insert_{newest.name}"))

    answer = checked(dead, BOOTS[0])

    assert differences(answer["rows"], wanted) == {}


def test_going_back_may_be_broken_off(dead: Path, wanted: Rows) -> None:
    """By kills, and by another power failure while what was lost is stored again."""
    power_failure(dead, lambda _: "some", lambda _: "cut", seed=2)
    draw = random.Random(3)
    for boot in (BOOTS[1], BOOTS[1], BOOTS[2]):
        with spawn("check", dead, boot, dead / "answer") as process:
            time.sleep(draw.uniform(0.5, 3.0))
            process.kill()
    power_failure(dead, lambda _: draw.choice(["whole", "gone", "empty"]), lambda _: "cut", seed=4)

    assert differences(checked(dead, BOOTS[3])["rows"], wanted) == {}


def test_what_is_stored_for_good_is_lost_without_checkpoints(tmp_path: Path) -> None:
    """The fault is real: parts of long ago are merged, removed, and the result was never on the disk."""
    run("live", tmp_path, BOOTS[0], "unprotected", "send", "store", "keep", "send", "store", "merge", "die")
    for folder in (tmp_path / "store/store").glob("*/*"):
        names = [path.name for path in folder.iterdir() if is_part(path.name)]
        for name in names if (folder / LOGS_NAME).is_dir() else []:
            shutil.rmtree(folder / name)

    found = checked(tmp_path, BOOTS[1])["rows"]

    assert len(differences(found, expected(tmp_path / "wanted", all_of(tmp_path)))) > 5


@pytest.mark.parametrize("seed", range(faults.SEED, faults.SEED + LOSSES) if faults.LONG else [0])
def test_random_lives_and_power_failures(tmp_path: Path, seed: int) -> None:
    """Lives of random deeds, each ended by a kill at a random moment and a power failure of random harm."""
    draw = random.Random(seed)
    directory = tmp_path / "it"
    directory.mkdir()
    for life in range(2):
        deeds = draw.choices(["send", "store", "keep", "merge"], [5, 2, 1, 1], k=12)
        with spawn("live", directory, BOOTS[life], *deeds) as process:
            assert process.stdout is not None
            while (line := process.stdout.readline()) != b"open\n":
                assert line, "it ended by itself"
            time.sleep(draw.uniform(0.0, 4.0))
            process.kill()
        power_failure(
            directory,
            lambda _: draw.choice(["whole", "gone", "empty", "some"]),
            lambda _: draw.choice(["whole", "cut", "empty"]),
            seed,
        )

    answer = checked(directory, BOOTS[5])

    for numbers in answer["found"].values():
        assert power_child.noted(directory, "sent") <= set(numbers) <= power_child.noted(directory, "tried")
    assert differences(answer["rows"], expected(tmp_path / "wanted", answer["found"])) == {}
