"""The files of TLS: what is wrong with one is said with its name and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.tls.der import certificates_in, validity_of
from lowtide.tls.errors import TlsFileError
from lowtide.tls.files import is_readable_by_others, load, warnings
from lowtide.tls.settings import TlsSettings
from support.certs import Pair, Pki, encrypted


@pytest.fixture
def settings(pki: Pki, tmp_path: Path) -> TlsSettings:
    """With copies of good files."""
    for source, name in (
        (pki.server.certificate, "tls.crt"), (pki.server.key, "tls.key"), (pki.senders.certificate, "ca.crt"),
    ):  # fmt: skip
        shutil.copy(source, tmp_path / name)
    return TlsSettings(
        certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key", client_ca=tmp_path / "ca.crt"
    )


def of(pair: Pair, ca: Path | None = None) -> TlsSettings:
    return TlsSettings(certificate=pair.certificate, key=pair.key, client_ca=ca)


def refused(settings: TlsSettings) -> str:
    with pytest.raises(TlsFileError) as caught:
        load(settings)
    return f"{caught.value} {caught.value.hint or ''}"


def test_good_ones(settings: TlsSettings, pki: Pki) -> None:
    loaded = load(settings)

    assert loaded.not_before < datetime.now(UTC) < loaded.not_after
    assert loaded.not_after - loaded.not_before == timedelta(days=30)
    assert loaded.digest == load(of(pki.server)).digest != load(of(pki.renewed)).digest


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_one_that_is_not_there(settings: TlsSettings, tmp_path: Path, name: str) -> None:
    (tmp_path / name).unlink()
    assert f"{tmp_path / name} cannot be read, and TLS needs it: No such file" in refused(settings)
    (tmp_path / name).mkdir()
    assert "Is a directory" in refused(settings)


@pytest.mark.parametrize("content", ["", "hello\n", "-----BEGIN X-----\nAAAA\n-----END X-----\n"])
@pytest.mark.parametrize(
    ("name", "what"), [("tls.crt", "certificate"), ("tls.key", "private key"), ("ca.crt", "certificate")]
)
def test_one_that_is_something_else(
    settings: TlsSettings, tmp_path: Path, name: str, what: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    assert f"{name} (tls." in refused(settings)
    assert f"holds no {what} in PEM form" in refused(settings)


@pytest.mark.parametrize("name", ["tls.crt", "ca.crt"])
@pytest.mark.parametrize(
    "damage",
    [lambda t: t[:200] + t[260:], lambda t: t.replace("M", "A"), lambda t: t.replace("\n", "\nÄ", 3)],
)
def test_a_damaged_certificate(
    settings: TlsSettings, tmp_path: Path, name: str, damage: Callable[[str], str]
) -> None:
    path = tmp_path / name
    path.write_text(damage(path.read_text()))
    assert str(path) in refused(settings)


def test_a_damaged_key(settings: TlsSettings, tmp_path: Path) -> None:
    path = tmp_path / "tls.key"
    path.write_text(path.read_text().replace("\nM", "\nA"))
    assert "tls.key" in refused(settings)


def test_a_key_of_another_certificate(settings: TlsSettings, pki: Pki, tmp_path: Path) -> None:
    shutil.copy(pki.renewed.key, tmp_path / "tls.key")
    said = refused(settings)
    assert f"{tmp_path / 'tls.key'} (tls.key) does not belong to the certificate" in said


def test_the_wrong_order_of_a_chain(settings: TlsSettings, pki: Pki, tmp_path: Path) -> None:
    chain = pki.servers.certificate.read_text() + pki.server.certificate.read_text()
    (tmp_path / "tls.crt").write_text(chain)
    assert "must be the first" in refused(settings)
    (tmp_path / "tls.crt").write_text(
        pki.server.certificate.read_text() + pki.servers.certificate.read_text()
    )
    assert load(settings).digest == load(of(pki.server)).digest


def test_an_encrypted_key(pki: Pki) -> None:
    said = refused(of(encrypted(pki.server)))
    assert "is encrypted" in said
    assert "openssl pkey -in" in said


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_one_that_everybody_can_write(settings: TlsSettings, tmp_path: Path, name: str) -> None:
    (tmp_path / name).chmod(0o646)
    assert f"chmod o-w {tmp_path / name}" in refused(settings)


def test_who_can_read_the_key_is_seen(settings: TlsSettings, tmp_path: Path) -> None:
    key = tmp_path / "tls.key"
    key.chmod(0o640)  # as with a group of the server's own
    assert not is_readable_by_others(key)
    key.chmod(0o644)
    assert is_readable_by_others(key)
    assert not is_readable_by_others(tmp_path / "nothing")
    load(settings)


def test_warnings_about_time(settings: TlsSettings) -> None:
    loaded = load(settings)

    def said(at: datetime) -> str:
        return " ".join(warnings(settings, loaded, at))

    assert not said(loaded.not_before)
    assert not said(loaded.not_after - timedelta(days=8))
    assert "expires at" in said(loaded.not_after - timedelta(days=6))
    assert "has expired" in said(loaded.not_after + timedelta(seconds=1))
    assert "not valid before" in said(loaded.not_before - timedelta(seconds=1))


def test_an_expired_one_is_taken_all_the_same(pki: Pki) -> None:
    """A server with an old certificate says more than one that does not start."""
    loaded = load(of(pki.servers.issue("old-server", dns=["localhost"], expired=True)))
    assert loaded.not_after < datetime.now(UTC)


class TestDer:
    def test_both_kinds_of_time(self, pki: Pki) -> None:
        """The CA is valid until after 2049, where certificates write four digits of the year."""
        (authority,) = certificates_in(pki.long.read_bytes())
        assert validity_of(authority).not_after.year > 2049

    @given(st.binary(max_size=300))
    def test_anything_else_is_refused_as_such(self, data: bytes) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
            validity_of(data)

    @given(cut=st.integers(0, 400), changed=st.integers(0, 255))
    def test_a_damaged_one_is_read_or_refused(self, pki: Pki, cut: int, changed: int) -> None:
        (good,) = certificates_in(pki.server.certificate.read_bytes())
        for data in (good[:cut], good[:cut] + bytes([changed]) + good[cut + 1 :]):
            try:
                validity_of(data)
            except ValueError:
                continue
