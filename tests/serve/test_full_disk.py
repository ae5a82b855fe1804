"""A disk that is full to the last byte, under spool and store, while telemetry comes in.

Neither takes a share of room here, so that writes do fail: of the spool, of the store's parts, of its record
of tokens, of checkpoints. Where they fail is drawn. What was acknowledged is there in the end, once.

The trap: the engine may count a part as stored that it could not write whole. Then the server ends, as it
should, and is started again, as a supervisor would.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from support import faults
from support.launcher import ANY_PORTS, Launcher, Running
from support.load import Load, Told
from support.oracle import check_bounds, check_identities, check_rollups
from support.small_disk import PAGE_BYTES, SmallDisk, small_disk

ROUNDS = faults.times(1, 100)

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(400 + 40 * ROUNDS),
    pytest.mark.embedded("spool and store share a disk"),
]

DISK_BYTES = 192 * 1024 * 1024
SETTINGS = (
    "--set", "spool.min_free_share=0", "--set", "spool.segment_bytes=65536",
    "--set", "loader.interval_ms=20", "--set", "loader.trim_interval_s=0.3",
    "--set", "loader.retry_max_s=0.3",
)  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as mounted:
        yield mounted


def refused(server: Running) -> float:
    """Requests that were told to come back because of the disk; all there are if it has ended."""
    if server.process.poll() is not None:
        return math.inf
    try:
        shown = server.http.get(server.url("/metrics")).text
    except httpx2.TransportError:
        server.process.wait(60)  # it is ending: it listens no more, and is not gone yet
        return math.inf
    lines = [line for line in shown.splitlines() if line.startswith("lowtide_collector_refusals_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'reason="spool_full"' in line)


def fill(server: Running, disk: SmallDisk, told: Told, draw: random.Random) -> None:
    """Leave so much room, send until somebody is told to come back, and go on for a while."""
    if math.isinf(before := refused(server)):
        return  # it has ended since somebody looked
    until = time.monotonic() + 60
    with Load(told, server.wait_ready(), draw.randrange(1 << 30)):
        time.sleep(draw.uniform(0.0, 0.5))
        # The engine wants 1 MiB (256 pages) to be free before it writes a part.
        room = draw.choice([0, 1, 16, 64, 256, 270, 300, 400]) * PAGE_BYTES
        while refused(server) == before:
            assert time.monotonic() < until, "the disk is never full"
            disk.leave(room)
            time.sleep(0.02)
            room = max(0, room - PAGE_BYTES)
        for _ in range(draw.randrange(20)):
            if draw.random() < 0.4:
                # Else nothing is inserted; so it is full in the middle.
                disk.make_room()
                time.sleep(draw.uniform(0.0, 0.4))
            disk.leave(draw.choice([0, 0, 1, 4, 260, 280]) * PAGE_BYTES)
            time.sleep(0.03)
    faults.done["times a disk was filled"] += 1


def alive(server: Running, launch: Launcher, disk: SmallDisk) -> Running:
    """The server; another one if it found that the disk had made a part less than whole."""
    return serve(launch, disk) if has_ended(server) else server


def has_ended(server: Running) -> bool:
    """Whether it has ended by itself, for the one reason there may be."""
    if math.isfinite(refused(server)):
        return False
    assert "the next start goes back to before that" in server.told(), server.told()
    faults.done["servers that ended because of it"] += 1
    return True


def serve(launch: Launcher, disk: SmallDisk) -> Running:
    return launch("serve", *ANY_PORTS, *SETTINGS, data=disk.path / "data")


def check(server: Running, told: Told) -> None:
    """It takes requests again, and the oracle is content."""
    with Load(told, server.wait_ready(), 1):
        told.wait_more(100)
    server.wait_stored()
    check_identities(server, told.acknowledged, told.unknown)
    check_rollups(server)
    check_bounds(server)
    assert server.stop() == 0, server.told()


def test_a_full_disk_loses_and_doubles_nothing(launch: Launcher, disk: SmallDisk) -> None:
    draw, told = random.Random(faults.SEED), Told()
    server = serve(launch, disk)
    for _ in range(ROUNDS):
        fill(server, disk, told, draw)
        disk.make_room()
        server = alive(server, launch, disk)
    check(alive(server, launch, disk), told)


def test_killed_while_the_disk_is_full(launch: Launcher, disk: SmallDisk) -> None:
    draw, told = random.Random(faults.SEED), Told()
    for _ in range(ROUNDS):
        server = serve(launch, disk)
        fill(server, disk, told, draw)
        if not has_ended(server):
            server.kill()
        disk.make_room()
    server = serve(launch, disk)
    server.wait_ready()
    assert "Parts of the store are damaged" not in server.told(), server.told()
    check(server, told)
