"""Ports that quickstart replaces, and those it must not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import lowtide.serve.ports
from collector.listen import Endpoint, PortInUseError
from lowtide.serve.ports import taken_ports
from lowtide.settings import Settings
from lowtide.settings_load import Loaded, Sources, load
from lowtide.settings_sources import Flag


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that others have; no real one is touched."""
    ports: set[int] = set()

    def bound_socket(endpoint: Endpoint) -> Any:
        if endpoint.port in ports:
            raise PortInUseError(endpoint.host, endpoint.port, endpoint.flag)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(lowtide.serve.ports, "bound_socket", bound_socket)
    return ports


def loaded(*flags: Flag, environ: dict[str, str] | None = None) -> Loaded[Settings]:
    return load(Settings, Sources(None, environ or {}, [], flags))


def test_free_ports_stay(taken: set[int]) -> None:
    assert taken_ports(loaded()) == []


def test_a_port_nobody_chose_is_replaced(taken: set[int]) -> None:
    settings = Settings()
    taken |= {settings.api.port, settings.collector.http_port, settings.collector.grpc_port}

    assert taken_ports(loaded()) == [
        Flag("--api-port", "api.port", 0),
        Flag("--otlp-http-port", "collector.http_port", 0),
        Flag("--otlp-grpc-port", "collector.grpc_port", 0),
    ]


def test_a_port_somebody_chose_is_meant(taken: set[int]) -> None:
    taken |= {1111, 2222}

    assert taken_ports(loaded(Flag("--api-port", "api.port", 1111))) == []
    assert taken_ports(loaded(environ={"LOWTIDE_COLLECTOR__HTTP_PORT": "2222"})) == []
