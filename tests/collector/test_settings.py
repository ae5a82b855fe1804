"""Defaults are the safe ones, and settings that contradict each other are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from collector.settings import MIB, CollectorSettings


def test_defaults() -> None:
    settings = CollectorSettings()
    assert (settings.listen, settings.grpc_port, settings.http_port) == ("127.0.0.1", 4317, 4318)
    assert settings.max_body_bytes == 64 * MIB


def test_every_field_is_described() -> None:
    for name, info in CollectorSettings.model_fields.items():
        assert info.description, name
        assert info.description.endswith("."), name


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError):
        CollectorSettings.model_validate({"max_body": 1})


def test_the_largest_request_must_fit_the_budget() -> None:
    with pytest.raises(ValidationError, match="max_inflight_bytes"):
        CollectorSettings(max_inflight_bytes=128 * MIB - 1)
    CollectorSettings(max_inflight_bytes=128 * MIB)
