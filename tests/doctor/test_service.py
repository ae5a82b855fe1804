"""What a server answers, what waits, and the ports: every judgement, and real sockets."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import Any

import pytest

from lowtide.doctor import service
from lowtide.doctor.findings import Level, worst
from lowtide.doctor.service import LoadingFacts, PortFacts

LOADING = LoadingFacts(True, 3, 1.5, "", 100, 1000)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (LOADING, Level.OK, "3 requests wait; the spool takes 100 B"),
        (replace(LOADING, retrying="the disk is full"), Level.PROBLEM, "for 1.5 s: the disk is full."),
        (replace(LOADING, lag_s=61), Level.WARNING, "3 requests wait to be stored, the oldest for 1.02 min"),
        (replace(LOADING, lag_s=901), Level.PROBLEM, "the oldest for 15 min"),
        (replace(LOADING, spool_bytes=501), Level.WARNING, "filled to 50.1 %"),
        (replace(LOADING, spool_bytes=901), Level.PROBLEM, "filled to 90.1 %"),
        (replace(LOADING, requests=1), Level.OK, "1 request waits; the spool takes 100 B"),
        (replace(LOADING, is_running=False), Level.OK, "3 requests wait for the next start"),
        (replace(LOADING, is_running=False, spool_bytes=901), Level.PROBLEM, "filled to"),
    ],
)
def test_loading(facts: LoadingFacts, level: Level, words: str) -> None:
    found = service.check_loading(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_what_the_pipeline_answers() -> None:
    signals = [{"retrying": ""}, {"retrying": "why"}]
    answer: dict[str, Any] = {
        "signals": signals, "requests_waiting": 4, "lag_s": 2.5, "spool_bytes": 8, "spool_limit_bytes": 9,
    }  # fmt: skip
    assert service.loading_facts(answer) == LoadingFacts(True, 4, 2.5, "why", 8, 9)


def test_readiness() -> None:
    parts = {"store": {"ready": True, "detail": "it answers"}, "spool": {"ready": True, "detail": "fine"}}
    assert service.check_readiness({"components": parts})[0].level is Level.OK
    parts["spool"] = {"ready": False, "detail": "it is full"}
    (found,) = service.check_readiness({"components": parts})
    assert (found.level, found.what) == (Level.PROBLEM, "The server's spool does not work: it is full.")


def test_ports_of_a_running_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        facts = service.running_ports({"api": f"http://127.0.0.1:{port}"})
        assert worst(service.check_ports(facts, is_running=True)) is Level.OK
    facts = service.running_ports({"api": f"http://127.0.0.1:{port}"})
    (found,) = service.check_ports(facts, is_running=True)
    assert (found.level, f":{port} takes no connections" in found.what) == (Level.PROBLEM, True)


def test_ports_a_server_would_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        facts = service.wanted_ports({"api.port": ("127.0.0.1", port), "other": ("127.0.0.1", 0)})
        (found,) = service.check_ports(facts, is_running=False)
    assert found.level is Level.PROBLEM
    assert f"api.port: 127.0.0.1:{port} is taken by" in found.what
    assert f"(process {os.getpid()})" in found.what
    facts = service.wanted_ports({"api.port": ("127.0.0.1", port)})
    assert worst(service.check_ports(facts, is_running=False)) is Level.OK


def test_somebody_who_cannot_be_seen() -> None:
    (found,) = service.check_ports([PortFacts("api.port", "host:1", True, "")], is_running=False)
    assert "somebody who cannot be seen" in found.what
    assert "Any port" in service.check_ports([], is_running=False)[0].what
