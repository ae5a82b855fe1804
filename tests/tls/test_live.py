"""Certificates of a server that runs: renewed, broken, mended."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from collector.tls.telemetry import Listener
from lowtide.tls.errors import TlsFileError
from lowtide.tls.live import LiveTls
from lowtide.tls.settings import Demand, TlsSettings
from support.certs import Pair, Pki


@pytest.fixture
def settings(pki: Pki, tmp_path: Path) -> TlsSettings:
    put(pki.server, tmp_path)
    return TlsSettings(certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key", look_s=0.01)


def put(pair: Pair, folder: Path) -> None:
    shutil.copy(pair.certificate, folder / "tls.crt")
    shutil.copy(pair.key, folder / "tls.key")


def value(registry: CollectorRegistry, name: str) -> float:
    found = registry.get_sample_value(f"lowtide_tls_{name}")
    assert found is not None
    return found


def test_a_renewed_one_is_announced_and_then_used(settings: TlsSettings, pki: Pki, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    live = LiveTls(settings, registry)
    first, before = live.digests, live.context(Listener.API, from_here=True)
    told: list[Any] = []
    announced = threading.Event()

    def announce() -> None:
        told.append((live.digests, live.context(Listener.API, from_here=True) is before))
        announced.set()

    live.start(announce)
    put(pki.renewed, tmp_path)
    assert announced.wait(30)
    live.close()

    (digests, still_old) = told[-1]
    assert still_old
    assert digests[0] == first[0] != digests[1]
    assert live.digests == digests
    assert live.context(Listener.API, from_here=True) is not before
    assert value(registry, "certificate_expiry_timestamp_seconds") > datetime.now(UTC).timestamp()


def test_it_is_used_even_if_nobody_can_be_told(settings: TlsSettings, pki: Pki, tmp_path: Path) -> None:
    live = LiveTls(settings, CollectorRegistry())
    tried = threading.Event()

    def announce() -> None:
        tried.set()
        raise OSError(28, "No space left on device")

    first = live.digests
    live.start(announce)
    put(pki.renewed, tmp_path)
    assert tried.wait(30)
    live.close()

    assert live.digests != first
    live.look()
    assert live.context(Listener.API, from_here=True) is not None
    assert live._loaded.digest == live.digests[-1]


def test_a_folder_that_is_swapped_as_a_whole(pki: Pki, tmp_path: Path) -> None:
    """As Kubernetes does it: links to files in a folder that is itself a link."""
    for name, pair in (("v1", pki.server), ("v2", pki.renewed)):
        (tmp_path / name).mkdir()
        put(pair, tmp_path / name)
    (tmp_path / "data").symlink_to("v1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"data/{name}")
    live = LiveTls(
        TlsSettings(certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key"), CollectorRegistry()
    )
    first = live.digests
    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").replace(tmp_path / "data")
    live.look()

    assert live.digests[-1] not in first


@pytest.mark.parametrize("harm", ["gone", "garbage", "another key", "half"])
def test_a_broken_one_keeps_the_old_one(settings: TlsSettings, pki: Pki, tmp_path: Path, harm: str) -> None:
    registry = CollectorRegistry()
    live = LiveTls(settings, registry)
    before, digests = live.context(Listener.OTLP_HTTP, from_here=True), live.digests
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    match harm:
        case "gone":
            certificate.unlink()
        case "garbage":
            certificate.write_bytes(os.urandom(1000))
        case "another key":
            shutil.copy(pki.renewed.key, key)
        case "half":
            certificate.write_text(certificate.read_text()[:300])
    with capture_logs() as lines:
        for _ in range(5):
            live.look()

    assert live.context(Listener.OTLP_HTTP, from_here=True) is before
    assert live.digests == digests
    assert value(registry, "reload_failures_total") == 5
    assert [line["log_level"] for line in lines] == ["error"]  # once, not five times
    assert "old certificate stays in use" in lines[0]["event"]

    put(pki.renewed, tmp_path)
    with capture_logs() as lines:
        live.look()
        live.look()
    assert [line["log_level"] for line in lines] == ["info"]
    assert live.context(Listener.OTLP_HTTP, from_here=True) is not before


def test_put_back_as_it_was_it_is_fine_again(settings: TlsSettings, pki: Pki, tmp_path: Path) -> None:
    live = LiveTls(settings, CollectorRegistry())
    (tmp_path / "tls.crt").rename(tmp_path / "away")
    live.look()
    (tmp_path / "away").rename(tmp_path / "tls.crt")
    with capture_logs() as lines:
        live.look()
        live.look()
    assert [line["log_level"] for line in lines] == ["info"]


def test_what_expires_is_told_once_a_day(settings: TlsSettings, pki: Pki) -> None:
    now = [datetime.now(UTC)]
    with capture_logs() as lines:
        live = LiveTls(settings, CollectorRegistry(), now=lambda: now[0])
        live.look()
        assert not lines
        for days in (24, 24, 25, 31, 31):
            now[0] = datetime.now(UTC) + timedelta(days=days)
            live.look()
    assert len(lines) == 3
    assert "expires at" in lines[0]["event"]
    assert "has expired" in lines[2]["event"]


def test_a_key_for_everybody_is_told(settings: TlsSettings, tmp_path: Path) -> None:
    (tmp_path / "tls.key").chmod(0o644)
    with capture_logs() as lines:
        LiveTls(settings, CollectorRegistry())
    assert "can be read by every user" in lines[0]["event"]


def test_without_good_files_it_does_not_begin(settings: TlsSettings, tmp_path: Path) -> None:
    (tmp_path / "tls.key").unlink()
    with pytest.raises(TlsFileError):
        LiveTls(settings, CollectorRegistry())


def test_each_listener_speaks_its_own_protocol_and_demands_what_it_should(
    settings: TlsSettings, pki: Pki
) -> None:
    import ssl

    given = settings.model_copy(
        update={"client_ca": pki.senders.certificate, "client_certificates": Demand.REQUIRED}
    )
    live = LiveTls(given, CollectorRegistry())
    demands = {
        (listener, here): live.context(listener, from_here=here).verify_mode
        for listener in Listener
        for here in (True, False)
    }
    assert demands == {
        (Listener.OTLP_HTTP, True): ssl.CERT_OPTIONAL, (Listener.OTLP_HTTP, False): ssl.CERT_REQUIRED,
        (Listener.OTLP_GRPC, True): ssl.CERT_OPTIONAL, (Listener.OTLP_GRPC, False): ssl.CERT_REQUIRED,
        (Listener.API, True): ssl.CERT_OPTIONAL, (Listener.API, False): ssl.CERT_OPTIONAL,
    }  # fmt: skip
    context = live.context(Listener.OTLP_GRPC, from_here=False)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
