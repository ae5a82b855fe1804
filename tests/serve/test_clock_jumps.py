"""A machine whose clock is put forward and back by hours while telemetry comes in, and between starts."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from support import faults
from support.launcher import ANY_PORTS, Launcher
from support.load import Load, Told
from support.oracle import check_bounds, check_identities, check_rollups

pytestmark = [pytest.mark.process, pytest.mark.timeout(faults.times(300, 3000))]

LIVES = faults.times(2, 40)
HOUR_S = 3600
WITH_ANOTHER_CLOCK = """
import sys, time
from pathlib import Path
shift = Path(sys.argv.pop(1))
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + int(shift.read_text() or 0)
time.time_ns = lambda: now_ns() + int(shift.read_text() or 0) * 1_000_000_000
from lowtide.__main__ import main
main()
"""


def test_nothing_is_lost_or_doubled(launch: Launcher, tmp_path: Path) -> None:
    """The clock of everything that is ours; that of the engine itself stays."""
    draw, told, shift = random.Random(faults.SEED), Told(), tmp_path / "shift"
    launch.command = [sys.executable, "-c", WITH_ANOTHER_CLOCK, str(shift)]

    def jump() -> None:
        new = shift.with_suffix(".new")
        new.write_text(str(draw.choice([-6, -1, 0, 1, 6]) * HOUR_S + draw.randrange(-2, 3)))
        new.rename(shift)  # never half a number
        faults.done["clock jumps"] += 1

    for number in range(LIVES):
        jump()
        server = launch(
            "serve", *ANY_PORTS, "--set", "loader.interval_ms=20", "--set", "loader.trim_interval_s=0.3",
            "--set", "spool.segment_bytes=65536",
        )  # fmt: skip
        with Load(told, server.wait_ready(), faults.SEED + number):
            for _ in range(4):
                told.wait_more(100)
                jump()
                time.sleep(draw.uniform(0.0, 0.5))
            if number % 2 == 0 and number < LIVES - 1:
                server.kill()
        if server.process.poll() is None:
            assert server.stop() == 0, server.told()
    server = launch.serve()
    server.wait_stored()

    check_identities(server, told.acknowledged, told.unknown)
    check_rollups(server)
    check_bounds(server)
    assert server.stop() == 0, server.told()
