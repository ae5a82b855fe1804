"""A real process, killed while many threads append: everything it acknowledged is there afterwards."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ingest.signals import Signal

KILLS = 4
CHILD = """
import sys, threading
from pathlib import Path
from ingest.spool.settings import SpoolSettings
from ingest.signals import Signal
from ingest.spool.spool import Spool

directory, life = Path(sys.argv[1]), int(sys.argv[2])
settings = SpoolSettings(segment_bytes=65536, limit_bytes=1 << 30)
spool = Spool.open(directory, settings)
said = threading.Lock()


def send(thread):
    for number in range(1 << 30):
        signal = (Signal.TRACES, Signal.LOGS)[number % 2]
        body = f"{life} {thread} {number} ".encode() + bytes(number * 37 % 3000)
        seq = spool.append(signal, "default", body, items=1, received_ns=1).result()
        with said:
            sys.stdout.write(f"{signal.value} {seq} {life} {thread} {number}\\n")
            sys.stdout.flush()


def load():
    while True:
        for signal in (Signal.TRACES, Signal.LOGS):
            cursor = spool.cursor(signal)
            if spool.wait_for(signal, cursor, 0.01):
                records = spool.read(signal, cursor, max_bytes=1 << 20, max_records=7)
                batch = spool.begin_batch(signal, records)
                with said:
                    sys.stdout.write(f"batch {batch.batch_id} {batch.token}\\n")
                    sys.stdout.flush()


for thread in range(4):
    threading.Thread(target=send, args=(thread,), daemon=True).start()
load()
"""


def test_everything_acknowledged_survives_kills(place: Any, tmp_path: Path) -> None:
    chance = random.Random(7)
    said: list[list[str]] = []
    for life in range(KILLS):
        with (
            (tmp_path / f"said-{life}").open("w+b") as out,
            subprocess.Popen(
                [sys.executable, "-c", CHILD, str(place.directory), str(life)],
                stdout=out,
                cwd=Path(__file__).parents[3],
            ) as child,
        ):
            place.eventually(lambda path=Path(out.name): path.stat().st_size > 2000)
            time.sleep(chance.uniform(0, 0.1))
            assert child.poll() is None, "it ended by itself"
            child.send_signal(signal.SIGKILL)
        # What is after the last line feed was not said to the end.
        said += [line.split() for line in Path(out.name).read_text().split("\n")[:-1]]

    spool = place.open(segment_bytes=65536, limit_bytes=1 << 30)

    batches = {batch.batch_id: batch for batch in spool.unfinished_batches()}
    begun = [line for line in said if line[0] == "batch"]
    assert len(begun) > KILLS
    for _, batch_id, token in begun:
        assert batches[int(batch_id)].token == token
    for kind in (Signal.TRACES, Signal.LOGS):
        found = {record.seq: record.body.split()[:3] for record in place.read(spool, kind)}
        acknowledged = {int(line[1]): line[2:] for line in said if line[0] == kind.value}
        assert len(acknowledged) > 10 * KILLS
        assert acknowledged == {seq: [part.decode() for part in found[seq]] for seq in acknowledged}
        assert list(found) == list(range(1, len(found) + 1))
        assert len({tuple(parts) for parts in found.values()}) == len(found)
    for batch in batches.values():
        assert [record.seq for record in spool.read_batch(batch)] == list(
            range(batch.first_seq, batch.last_seq + 1)
        )
