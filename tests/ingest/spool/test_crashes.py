"""Whatever dies at whatever moment: nothing acknowledged is lost, nothing stored twice, nothing invented.
A request that is sent again is stored once, and answered as it was the first time.

A spool runs on a disk that remembers what was synced, against a store that takes a batch once per token. Any
system call may be the last one. Then either the process was killed (what was written is there, the last write
perhaps in part) or the machine lost power (of what was not synced anything may be missing, in the spool and
in the store), and all is opened anew. A simple model knows what was acknowledged.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingest.signals import Signal
from ingest.spool.errors import SpoolError
from ingest.spool.files import Files
from ingest.spool.records import request_digest
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Batch, Receipt, Spool, SpoolRecord
from support import faults

SETTINGS = SpoolSettings(segment_bytes=4096, limit_bytes=1 << 24, group_commit_ms=0, resend_entries=1000)
SIGNALS = (Signal.TRACES, Signal.LOGS)
PIECES = 3
"""Of every record, when it has to be cut."""
BOOTS = [f"{number:08d}-1111-2222-3333-444444444444" for number in range(100)]


def reply_to(body: bytes) -> bytes:
    """Every third request was taken in part, and its sender told why."""
    return b"" if int(body[:6]) % 3 else b"reasons for " + body[:6]


class DeadError(Exception):
    """The process was killed by this call."""


class MortalFiles(Files):
    """Remembers what is durable, and dies at a call of the test's choice."""

    def __init__(self, root: Path, killed: MortalFiles | None = None) -> None:
        """Everything in `root` is durable, but for what a killed process had not synced yet."""
        self.root = root
        self.calls_left: int | None = None
        self.dead = False
        self.cut = random.Random(0)
        self._file_ids: dict[int, int] = {}
        """Inode to a number that is not used again."""
        self._synced: dict[int, bytes] = {}
        self._left: dict[Path, dict[str, int]] = {}
        self._names: dict[Path, dict[str, int]] = {}
        """Directory to its durable entries."""
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            self._names[folder] = self._entries(folder)
            for name, number in self._names[folder].items():
                self._synced[number] = (folder / name).read_bytes()
        if killed is not None:
            self._inherit(killed)

    def _inherit(self, killed: MortalFiles) -> None:
        for folder, names in self._names.items():
            before = killed.root / folder.relative_to(self.root)
            durable, left = killed._names.get(before, {}), killed._left.get(before, {})
            for name, number in list(names.items()):
                self._synced[number] = killed._synced.get(left.get(name, -1), b"")
                if durable.get(name) != left.get(name):
                    del names[name]

    def leave(self) -> None:
        """Note under which names the files are when the process is killed."""
        self._left = {folder: self._entries(folder) for folder in self._names if folder.exists()}

    def _entries(self, folder: Path) -> dict[str, int]:
        return {
            path.name: self._file_ids.setdefault(path.stat().st_ino, len(self._file_ids))
            for path in folder.iterdir()
            if path.is_file()
        }

    def _step(self) -> bool:
        """Count a call; True if it is the last one."""
        if self.dead:
            raise DeadError
        if self.calls_left is None:
            return False
        self.calls_left -= 1
        self.dead = self.calls_left <= 0
        return self.dead

    def _die(self, last: bool) -> None:
        if last:
            raise DeadError

    def create(self, path: Path) -> int:
        last = self._step()
        handle = super().create(path)
        number = len(self._file_ids) + 1_000_000
        self._file_ids[os.fstat(handle).st_ino] = number
        self._file_ids[-number] = number
        self._synced[number] = b""
        if last:
            os.close(handle)
            raise DeadError
        return handle

    def writev(self, handle: int, buffers: Sequence[bytes | memoryview]) -> int:
        if self._step():
            content = b"".join(buffers)
            os.write(handle, content[: self.cut.randrange(len(content) + 1)])
            raise DeadError
        return super().writev(handle, buffers)

    def sync(self, handle: int) -> None:
        self._die(self._step())
        size = os.fstat(handle).st_size
        self._synced[self._file_ids[os.fstat(handle).st_ino]] = os.pread(handle, size, 0)

    def sync_directory(self, path: Path) -> None:
        self._die(self._step())
        if path == self.root or self.root in path.parents:
            self._names[path] = self._entries(path)

    def truncate(self, handle: int, size: int) -> None:
        last = self._step()
        super().truncate(handle, size)
        self._die(last)

    def rename(self, old: Path, new: Path) -> None:
        last = self._step()
        super().rename(old, new)
        self._die(last)

    def unlink(self, path: Path) -> None:
        last = self._step()
        super().unlink(path)
        self._die(last)

    def mkdir(self, path: Path) -> None:
        last = self._step()
        super().mkdir(path)
        self._names.setdefault(path, {})
        self._die(last)

    def lose_power(self, target: Path, chance: random.Random) -> None:
        """Write to `target` one of the states in which a power loss may leave the disk."""
        for folder, durable in self._names.items():
            made = target / folder.relative_to(self.root)
            made.mkdir(parents=True, exist_ok=True)
            now = self._entries(folder) if folder.exists() else {}
            for name in sorted(durable.keys() | now.keys()):
                number = chance.choice([durable.get(name), now.get(name)])
                if number is not None:
                    (made / name).write_bytes(self._survivor(number, now, folder, chance))

    def _survivor(self, number: int, now: dict[str, int], folder: Path, chance: random.Random) -> bytes:
        """What is left of a file: what was synced, and any part of what came after."""
        synced = self._synced.get(number, b"")  # the lock file is not made through here
        current = next(((folder / name).read_bytes() for name, one in now.items() if one == number), synced)
        if not current.startswith(synced):
            return chance.choice([synced, current])
        cut = chance.randint(len(synced), len(current))
        return current[: chance.choice([len(synced), cut, len(current)])]


class Store:
    """Takes every batch once per token. What it has is safe once `sync` was called."""

    def __init__(self) -> None:
        self.batches: dict[str, tuple[list[SpoolRecord], tuple[int, int] | None]] = {}
        """By token: records, and which pieces of the only one."""
        self._durable: dict[str, tuple[list[SpoolRecord], tuple[int, int] | None]] = {}

    def insert(self, batch: Batch, records: list[SpoolRecord]) -> None:
        known = self.batches.setdefault(batch.token, (records, batch.pieces))
        assert known == (records, batch.pieces), "a token was used for other records"

    def sync(self) -> None:
        self._durable = dict(self.batches)

    def lose_power(self, chance: random.Random) -> None:
        lost = [token for token in self.batches if token not in self._durable]
        for token in lost:
            if chance.random() < 0.7:
                del self.batches[token]

    def bodies(self, signal: Signal) -> list[bytes]:
        """Those of which all pieces are there, in order of their numbers. No piece may be there twice."""
        pieces: dict[int, list[int]] = {}
        found: dict[int, bytes] = {}
        for records, (first, last) in (
            (records, which or (1, PIECES)) for records, which in self.batches.values()
        ):
            for record in records:
                if record.signal is signal:
                    found[record.seq] = record.body
                    pieces.setdefault(record.seq, []).extend(range(first, last + 1))
        for seq, numbers in pieces.items():
            assert len(numbers) == len(set(numbers)), f"pieces of record {seq} are stored twice: {numbers}"
        return [found[seq] for seq in sorted(found) if len(pieces[seq]) == PIECES]


class Crashes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.life = 0
        self.boot = 0
        self.store = Store()
        self.sent: dict[Signal, list[bytes]] = {signal: [] for signal in SIGNALS}
        self.acked: dict[Signal, set[bytes]] = {signal: set() for signal in SIGNALS}
        self.chance = random.Random(0)
        self.spool: Spool | None = None
        self.killed: MortalFiles | None = None
        (self.base / "0").mkdir()
        self.files = MortalFiles(self.base / "0")

    @initialize(seed=st.integers(0, 2**32), mortal=st.booleans())
    def begin(self, seed: int, mortal: bool) -> None:
        self.chance = random.Random(seed)
        self.revive()
        if mortal:
            self.files.calls_left = self.chance.randrange(1, 60)

    # --- life

    def revive(self) -> None:
        """Open the spool; if it dies on the way, again and again."""
        for attempt in range(20):
            self.files = MortalFiles(self.base / str(self.life), self.killed)
            self.files.cut = self.chance
            if 0 < attempt < 5:
                self.files.calls_left = self.chance.randrange(1, 40)
            try:
                with structlog.testing.capture_logs() as logs:
                    self.spool = Spool.open(
                        self.files.root, SETTINGS, files=self.files, boot_id=lambda: BOOTS[self.boot % 100]
                    )
            except (DeadError, SpoolError):
                assert self.files.dead
                self.bury(power=self.chance.random() < 0.5)
                continue
            assert [entry for entry in logs if "lost" in entry["event"]] == []
            return
        raise AssertionError("it never came up")

    def bury(self, *, power: bool) -> None:
        """Leave behind what a kill or a power loss leaves."""
        if self.spool is not None:
            self.files.dead = True
            with suppress(DeadError, SpoolError):
                self.spool.close()
            self.spool = None
        old, self.life = self.files.root, self.life + 1
        new = self.base / str(self.life)
        if power:
            self.boot += 1
            self.files.lose_power(new, self.chance)
            self.store.lose_power(self.chance)
        else:
            self.files.leave()
            shutil.copytree(old, new)
        self.killed = None if power else self.files
        shutil.rmtree(old)

    @rule(power=st.booleans())
    def crash(self, power: bool) -> None:
        self.bury(power=power)
        self.revive()

    @rule(calls=st.integers(1, 40))
    def die_soon(self, calls: int) -> None:
        self.files.calls_left = calls

    @precondition(lambda self: not self.files.dead)
    @rule()
    def restart(self) -> None:
        """In good order."""
        assert self.spool is not None
        self.files.calls_left = None
        self.spool.close()
        self.killed = None
        old, self.life = self.files.root, self.life + 1
        old.rename(self.base / str(self.life))
        self.revive()

    def alive(self, error: BaseException | None) -> None:
        """An error is only ever the end of the process."""
        if error is not None:
            assert self.files.dead, error
            self.bury(power=self.chance.random() < 0.5)
            self.revive()

    # --- work

    @rule(signal=st.sampled_from(SIGNALS), sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=8))
    def append(self, signal: Signal, sizes: list[int]) -> None:
        assert self.spool is not None
        futures: list[tuple[bytes, Future[int]]] = []
        error: BaseException | None = None
        try:
            for size in sizes:
                body = b"%06d" % len(self.sent[signal]) + bytes(size)
                self.sent[signal].append(body)
                sent = self.send(signal, body)
                futures.append((body, sent.stored))
        except SpoolError as refused:
            error = refused
        for body, future in futures:
            error = future.exception(30) or error
            if future.exception() is None:
                self.acked[signal].add(body)
        self.alive(error)

    def send(self, signal: Signal, body: bytes) -> Receipt:
        assert self.spool is not None
        digest = request_digest(signal, "default", "protobuf", body)
        return self.spool.append_once(
            signal, "default", body, items=1, received_ns=1, digest=digest, reply=reply_to(body)
        )

    @rule(signal=st.sampled_from(SIGNALS), picks=st.lists(st.integers(0, 400), min_size=1, max_size=6))
    def send_again(self, signal: Signal, picks: list[int]) -> None:
        """What was sent before, acknowledged or not, also twice at the same time."""
        sent = self.sent[signal]
        if not sent:
            return
        error: BaseException | None = None
        receipts: list[tuple[bytes, Receipt]] = []
        try:
            for pick in picks:
                body = sent[-1 - pick % len(sent)]
                receipts += [(body, self.send(signal, body)) for _ in range(2)]
        except SpoolError as refused:
            error = refused
        for body, receipt in receipts:
            error = receipt.stored.exception(30) or error
            if receipt.stored.exception() is None:
                assert receipt.is_resend or body not in self.acked[signal], "it was not recognised"
                if self.spool is not None and not self.files.dead:
                    assert self.spool.reply(receipt) == reply_to(body)
                self.acked[signal].add(body)
        self.alive(error)

    @rule(
        signal=st.sampled_from(SIGNALS), most=st.integers(1, 10), insert=st.booleans(), finish=st.booleans()
    )
    def load(self, signal: Signal, most: int, insert: bool, finish: bool) -> None:
        """What the loader does; it may be stopped on the way."""
        assert self.spool is not None
        try:
            for batch in self.unfinished(signal):
                self.store_batch(batch)
            records = self.spool.read(signal, self.spool.cursor(signal), max_bytes=1 << 30, max_records=most)
            if not records:
                return
            batch = self.spool.begin_batch(signal, records)
            if insert:
                self.store.insert(batch, records)
                if finish:
                    self.spool.finish_batch(batch)
        except (DeadError, SpoolError) as error:
            self.alive(error)

    @rule(signal=st.sampled_from(SIGNALS), most=st.integers(1, 6), stored=st.integers(0, 4))
    def divide(self, signal: Signal, most: int, stored: int) -> None:
        """Batches that the store cannot take are cut until they are single pieces, some of which it takes."""
        assert self.spool is not None
        try:
            records = self.spool.read(signal, self.spool.cursor(signal), max_bytes=1 << 30, max_records=most)
            batches = [self.spool.begin_batch(signal, records)] if records else self.unfinished(signal)
            while batches:
                batch = batches.pop()
                if batch.token in self.store.batches or batch.before_reboot:
                    continue
                if batch.first_seq < batch.last_seq:
                    middle = (batch.first_seq + batch.last_seq) // 2
                    batches += self.spool.split_batch(batch, last_seq=middle)
                    continue
                first, last = batch.pieces or (1, PIECES)
                if first < last:
                    batches += self.spool.split_record(batch, last_piece=first, pieces=PIECES)
                elif stored:
                    stored -= 1
                    self.store_batch(batch)
        except (DeadError, SpoolError) as error:
            self.alive(error)

    def unfinished(self, signal: Signal) -> list[Batch]:
        assert self.spool is not None
        return [batch for batch in self.spool.unfinished_batches() if batch.signal is signal]

    def store_batch(self, batch: Batch) -> None:
        assert self.spool is not None
        self.store.insert(batch, self.spool.read_batch(batch))
        self.spool.finish_batch(batch)

    @rule()
    def trim(self) -> None:
        assert self.spool is not None
        try:
            mark = self.spool.trim_mark()
            self.store.sync()
            self.spool.trim(mark)
        except (DeadError, SpoolError) as error:
            self.alive(error)

    # --- what must hold

    @invariant()
    def everything_acknowledged_is_somewhere(self) -> None:
        if self.spool is None or self.files.dead:
            return
        calls_left, self.files.calls_left = self.files.calls_left, None
        for signal in SIGNALS:
            found = self.spool.read(signal, 0, max_bytes=1 << 40, max_records=1 << 40)
            bodies = [record.body for record in found]
            assert len(bodies) == len(set(bodies))
            assert [record.seq for record in found] == sorted(record.seq for record in found)
            assert set(bodies) <= set(self.sent[signal])
            assert self.acked[signal] <= set(bodies) | set(self.store.bodies(signal))
        self.files.calls_left = calls_left

    def teardown(self) -> None:
        """In the end everything is stored, once."""
        faults.done["lives of a spool, with kills and power failures"] += self.life + 1
        try:
            if self.spool is not None:
                if self.files.dead:
                    self.bury(power=False)
                    self.revive()
                self.files.calls_left = None
                self.drain()
        finally:
            if self.spool is not None:
                self.files.dead = False
                self.spool.close()
            shutil.rmtree(self.base)

    def drain(self) -> None:
        assert self.spool is not None
        for signal in SIGNALS:
            for batch in self.unfinished(signal):
                self.store_batch(batch)
            cursor = self.spool.cursor(signal)
            while records := self.spool.read(signal, cursor, max_bytes=10_000, max_records=1000):
                self.store_batch(self.spool.begin_batch(signal, records))
                cursor = self.spool.cursor(signal)
            stored = self.store.bodies(signal)
            assert len(stored) == len(set(stored)), "stored twice"
            assert self.acked[signal] <= set(stored) <= set(self.sent[signal])
            assert self.spool.status().signals[0].lost_records == 0


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(
    max_examples=faults.times(60, 3000), stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
TestCrashes.pytestmark = [pytest.mark.timeout(faults.times(300, 20_000))]


def test_what_a_killed_process_noted_is_synced_by_the_next() -> None:
    """A segment was sealed on the word of a file that was in memory only; then the power failed."""
    state = Crashes()
    try:
        state.begin(seed=0, mortal=False)
        state.append(signal=Signal.LOGS, sizes=[0, 85, 277, 453, 569, 1465])
        state.crash(power=False)
        state.append(signal=Signal.LOGS, sizes=[666])  # seals the segment of those
        for _ in range(5):
            state.crash(power=True)
            state.send_again(picks=list(range(7)), signal=Signal.LOGS)
    finally:
        state.teardown()
