"""Reads the files of TLS into contexts for the listeners, or says which of them is wrong and how.

`lowtide.tls.live` calls it at the start and whenever the files have changed. Each reading makes new
contexts: sessions that clients could resume end with the certificates and CAs they were made under. The
trap: OpenSSL reads files by their names, and tools renew certificate and key one after the other; what has
changed while it was read is not taken.
"""

from __future__ import annotations

import hashlib
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from collector.tls.telemetry import Listener
from lowtide.tls.der import certificates_in, validity_of
from lowtide.tls.errors import TlsFileError
from lowtide.tls.settings import Demand, TlsSettings

_ALPN: Final = {
    Listener.OTLP_HTTP: ["http/1.1"],
    Listener.OTLP_GRPC: ["h2"],
    Listener.API: ["http/1.1"],
}
_SOON: Final = timedelta(days=7)

Stamp = tuple[tuple[int, int, int, int], ...]
"""Changes whenever one of the files does."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read. `contexts` by listener and by whether a client certificate is demanded in the
    handshake; `digest` is SHA-256 of the server's certificate, in hex.
    """

    contexts: Mapping[tuple[Listener, bool], ssl.SSLContext]
    digest: str
    not_before: datetime
    not_after: datetime
    stamp: Stamp


def load(settings: TlsSettings) -> Loaded:
    """Read everything. Raises TlsFileError."""
    certificate, key = _set(settings.certificate), _set(settings.key)
    before = stamp_of(settings)
    chain = _chain(certificate)
    _refuse_what_is_no_key(key)
    cas = None if settings.client_ca is None else _authorities(settings.client_ca)
    for path in (certificate, key, settings.client_ca):
        if path is not None:
            _refuse_strangers(path)
    try:
        validity = validity_of(chain[0])
    except ValueError as error:
        raise _broken(certificate, "the server's certificate (tls.certificate)") from error
    loaded = Loaded(
        contexts={
            (listener, demanded): _context(settings, listener, cas, demanded=demanded)
            for listener in Listener
            for demanded in _demands(settings, listener)
        },
        digest=hashlib.sha256(chain[0]).hexdigest(),
        not_before=validity.not_before,
        not_after=validity.not_after,
        stamp=before,
    )
    if stamp_of(settings) != before:
        raise TlsFileError("The files of TLS were changed while they were read.", hint="Try again.")
    return loaded


def stamp_of(settings: TlsSettings) -> Stamp:
    """What to compare in order to notice a change. Raises TlsFileError for a file that is not there."""
    stamps = []
    for path in (settings.certificate, settings.key, settings.client_ca):
        if path is not None:
            try:
                found = path.stat()
            except OSError as error:
                raise _unreadable(path, error) from error
            stamps.append((found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size))
    return tuple(stamps)


def warnings(settings: TlsSettings, loaded: Loaded, now: datetime) -> list[str]:
    """What should be seen to although it works, a sentence each."""
    found = []
    if now > loaded.not_after:
        found.append(
            f"The certificate {settings.certificate} has expired at {loaded.not_after:%Y-%m-%d %H:%M} UTC; "
            "clients refuse it. Renew it now."
        )
    elif now > loaded.not_after - _SOON:
        found.append(
            f"The certificate {settings.certificate} expires at {loaded.not_after:%Y-%m-%d %H:%M} UTC. "
            "Renew it."
        )
    if now < loaded.not_before:
        found.append(
            f"The certificate {settings.certificate} is not valid before "
            f"{loaded.not_before:%Y-%m-%d %H:%M} UTC; clients refuse it until then."
        )
    return found


def is_readable_by_others(path: Path) -> bool:
    """Whether users who have nothing to do with a file may read it; False if that cannot be known."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _demands(settings: TlsSettings, listener: Listener) -> tuple[bool, ...]:
    """Who is on this machine is never refused in the handshake: the owner's commands have no certificate,
    and the doors let nobody else in without one.
    """
    asked = settings.api_client_certificates if listener is Listener.API else settings.client_certificates
    return (False, True) if asked is Demand.REQUIRED else (False,)


def _context(settings: TlsSettings, listener: Listener, cas: str | None, *, demanded: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(_ALPN[listener])
    certificate, key = _set(settings.certificate), _set(settings.key)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _LockedKeyError:
        raise TlsFileError(
            f"The key {key} (tls.key) is encrypted, and a server that starts by itself has nobody to ask for "
            "the password.",
            hint=f"Write it without one, for the server's user only: (umask 077; openssl pkey -in {key} "
            "-out NEW).",
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFileError(
                f"The key {key} (tls.key) does not belong to the certificate {certificate} "
                "(tls.certificate).",
                hint="The server's own certificate must be the first in its file.",
            ) from error
        raise TlsFileError(
            f"The certificate {certificate} and the key {key} cannot be used: {_words(error)}."
        ) from error
    except OSError as error:
        raise TlsFileError(
            f"The certificate {certificate} or the key {key} cannot be read: {error.strerror or error}."
        ) from error
    if cas is not None:
        context.load_verify_locations(cadata=cas)
        context.verify_mode = ssl.CERT_REQUIRED if demanded else ssl.CERT_OPTIONAL
    return context


class _LockedKeyError(Exception):
    """A key asks for its password."""


def _no_password() -> str:
    raise _LockedKeyError


def _chain(path: Path) -> list[bytes]:
    """The server's certificates, its own first."""
    content = _read(path)
    try:
        found = certificates_in(content)
    except ValueError as error:
        raise _broken(path, "a certificate in it (tls.certificate)") from error
    if not found:
        raise TlsFileError(f"{path} (tls.certificate) holds no certificate in PEM form.")
    return found


def _refuse_what_is_no_key(path: Path) -> None:
    if b"PRIVATE KEY-----" not in _read(path):
        raise TlsFileError(f"{path} (tls.key) holds no private key in PEM form.")


def _authorities(path: Path) -> str:
    content = _read(path)
    try:
        found = certificates_in(content)
        for der in found:
            validity_of(der)
        pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in found)
        if found:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=pem)
            return pem
    except (ValueError, ssl.SSLError) as error:
        raise _broken(path, "a certificate in it (tls.client_ca)") from error
    raise TlsFileError(f"{path} (tls.client_ca) holds no certificate in PEM form.")


def _refuse_strangers(path: Path) -> None:
    if path.stat().st_mode & stat.S_IWOTH:
        raise TlsFileError(
            f"{path} can be written by everybody, so anybody may have put something else there.",
            hint=f"Look at it, then run `chmod o-w {path}`.",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> TlsFileError:
    return TlsFileError(
        f"{path} cannot be read, and TLS needs it: {error.strerror or error}.",
        hint="It must be readable to the user who runs the server.",
    )


def _broken(path: Path, what: str) -> TlsFileError:
    return TlsFileError(f"{path} is damaged: {what} cannot be understood.")


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")


def _set(path: Path | None) -> Path:
    assert path is not None  # noqa: S101 - asked for only where TLS is on
    return path
