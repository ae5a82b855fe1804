"""Twenty SIGKILLs under load: nothing acknowledged is lost or doubled, and rollups equal the raw data."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from support.launcher import ANY_PORTS
from support.load import RECORDS, Load, Told
from support.oracle import check_identities, check_rollups

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

KILLS = 20
SEED = 2_026


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
        return
    addresses = server.wait_ready()
    with Load(told, addresses, SEED + number):
        time.sleep(draw.uniform(0.1, 1.5))
        server.kill()


def test_nothing_is_lost_or_doubled(launch: Any) -> None:
    draw = random.Random(SEED)
    told = Told()
    for number in range(KILLS):
        live(launch, told, number, draw)
    server = launch.serve()
    server.wait_stored()

    for one in server.get("/api/v1/pipeline")["signals"]:
        assert one["requests_waiting_at_start"] + one["requests_spooled"] == one["requests_inserted"], one
    for signal, acknowledged in told.acknowledged.items():
        assert len(acknowledged) > KILLS * RECORDS, signal
    assert len(told.acknowledged) == 3
    check_identities(server, told.acknowledged, told.unknown)
    check_rollups(server)
    assert server.stop() == 0, server.told()
