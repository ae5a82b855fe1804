"""Whom a command of ours believes to be the server, over TLS.

The server of this machine is known by its certificate's digest, which it keeps in the record of the instance
lock: that file belongs to this user alone, so neither a CA nor a host name has to vouch for it, and an
expired certificate does not lock its owner out. Any other server is believed as everywhere else: its
certificate leads to a CA of this system or of a file, and bears its host's name.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Collection
from pathlib import Path

from lowtide.errors import LowtideError
from lowtide.instance_lock import read_running


class CaFileError(LowtideError):
    """A file of CAs cannot be used."""


class AnotherServerError(ssl.SSLError):
    """Who answers is not the server that was looked for. Nothing was said to it."""


def known_by(digests: Callable[[], Collection[str]]) -> ssl.SSLContext:
    """Believes a server whose certificate has one of these digests (SHA-256 of its DER, in hex), asked for
    at each connection. Connecting fails with AnotherServerError else, before anything is sent.
    """

    class Known(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            shown = self.getpeercert(binary_form=True) or b""
            if hashlib.sha256(shown).hexdigest() not in digests():
                raise AnotherServerError("somebody else than our server answers there")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the digest says more than any chain
    context.sslsocket_class = Known
    return context


def server_of(data: Path) -> ssl.SSLContext:
    """Believes the server that owns a data directory, also after it has got a new certificate."""

    def digests() -> Collection[str]:
        running = read_running(data)
        return () if running is None else running.certificates

    return known_by(digests)


def by_authorities(ca_file: Path | None = None) -> ssl.SSLContext:
    """Believes servers whose certificates lead to a CA of this system, or of the file. Raises CaFileError."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError as error:
            raise CaFileError(f"{ca_file} holds no CA certificate in PEM form.") from error
        except OSError as error:
            raise CaFileError(f"{ca_file} cannot be read: {error.strerror or error}.") from error
    return context


def is_about_tls(error: BaseException | None) -> bool:
    """Whether an error of an HTTP client comes from TLS: it connected, and then did not go on."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
