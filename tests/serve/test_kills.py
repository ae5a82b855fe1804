"""SIGKILLs at random moments, under load over both transports with all three signals: nothing acknowledged is
lost or doubled, and rollups equal the raw data.

Some hit a start that stores what was left behind, some an end that SIGTERM has begun. The
store is compared after ten kills; `make faults` makes 200, and compares after each twenty.
"""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from support import faults
from support.launcher import ANY_PORTS
from support.load import RECORDS, Load, Told
from support.oracle import check_bounds, check_identities, check_rollups

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

KILLS = 20 if faults.LONG else 10
ROUNDS = range(faults.times(1, 10))


def live(launch: Any, told: Told, number: int, draw: random.Random) -> None:
    """One life: from its start to a SIGKILL at a random moment, mostly under load."""
    server = launch(
        "serve", *ANY_PORTS,
        # Batches and clean-ups all the time, so that kills hit them.
        "--set", "loader.interval_ms=20", "--set", "loader.trim_interval_s=0.5",
    )  # fmt: skip
    if number % 5 == 4:  # while it starts and stores what the one before left behind
        time.sleep(draw.uniform(0.5, 3.0))
        server.kill()
        faults.done["SIGKILLs"] += 1
        return
    addresses = server.wait_ready()
    with Load(told, addresses, draw.randrange(1 << 30)):
        time.sleep(draw.uniform(0.1, 1.5))
        if number % 5 == 3:  # while it ends in good order
            server.process.send_signal(signal.SIGTERM)
            faults.done["SIGTERMs"] += 1
            time.sleep(draw.uniform(0.0, 0.5))
        server.kill()
        faults.done["SIGKILLs"] += 1


@pytest.mark.parametrize("which", ROUNDS)
def test_nothing_is_lost_or_doubled(launch: Any, which: int) -> None:
    draw = random.Random(f"{faults.SEED} {which}")
    told = Told()
    for number in range(KILLS):
        live(launch, told, number, draw)
    server = launch.serve()
    server.wait_stored()

    for one in server.get("/api/v1/pipeline")["signals"]:
        assert one["requests_waiting_at_start"] + one["requests_spooled"] == one["requests_inserted"], one
    for kind, acknowledged in told.acknowledged.items():
        assert len(acknowledged) > KILLS * RECORDS, kind
    assert len(told.acknowledged) == 3
    check_identities(server, told.acknowledged, told.unknown)
    check_rollups(server)
    check_bounds(server)
    assert server.stop() == 0, server.told()
