"""One TLS connection as an asyncio protocol: TLS towards the network, plain bytes towards another protocol.

`collector.tls.gate` makes one per accepted connection. Why not asyncio's own: it holds 256 KiB for each
connection from the first byte on, counts nothing before a handshake is over, and hangs up without the alert
that would tell the other side why (measured with 3.11). This one uses `ssl.SSLObject` over two memory
buffers, holds next to nothing while idle, and tells the gate how each handshake ended.

The traps. Plaintext that waits is kept as it came and encrypted only as fast as the network takes it, so
that a large answer is not held twice. And whatever may be left to say (an alert, an answer to plain text)
must be written before the connection is closed.

Longer than most modules, since both directions and the end of a connection share its state.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, cast

from collector.tls.certificate import CERTIFICATE, Certificate, certificate_of
from collector.tls.plain import answer_to_plain_text
from collector.tls.seldom import HANDSHAKE_RECORD
from collector.tls.telemetry import Reason

if TYPE_CHECKING:
    from collector.tls.gate import Gate

_READ_BYTES = 64 * 1024
_AT_ONCE_BYTES = 64 * 1024
_HIGH_WATER_BYTES = 64 * 1024
_LOW_WATER_BYTES = 16 * 1024
_UNREAD_BYTES = 1024 * 1024
"""What may wait for the other side of what TLS itself has to say; only who never reads gets there."""


class _At(Enum):
    """Where the connection is in its life."""

    NEW = auto()
    SHAKING = auto()
    OPEN = auto()
    LEAVING = auto()  # all is said; what the other side still sends is read away
    ENDED = auto()


class TlsConnection(asyncio.Protocol):
    """What the network's transport talks to."""

    def __init__(self, inner: asyncio.Protocol, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate
        self._at = _At.NEW
        self._raw: asyncio.Transport
        self._tls: ssl.SSLObject
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._deadline: asyncio.TimerHandle | None = None
        self._facade: TlsTransport | None = None
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._network_is_full = False
        self._inner_is_paused = False
        self._reading_is_paused = False
        self._closing = False
        self._said_all = False
        self.certificate: Certificate | None = None

    # --- from the network ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What a stream server gives, although uvloop's does not say so.
        self._raw = cast("asyncio.Transport", transport)
        context = self._gate.enter(self, self._raw)
        if context is None:
            self._at = _At.ENDED
            self._raw.abort()
            return
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._deadline = asyncio.get_running_loop().call_later(self._gate.handshake_s, self._out_of_time)

    def data_received(self, data: bytes) -> None:
        if self._at in (_At.LEAVING, _At.ENDED):
            return
        if self._at is _At.NEW:
            if data[0] != HANDSHAKE_RECORD:
                self._gate.failed(Reason.PLAIN_TEXT, self._raw)
                self._refuse(answer_to_plain_text(data))
                return
            self._at = _At.SHAKING
        self._incoming.write(data)
        if self._at is _At.SHAKING:
            self._shake()
        if self._at is _At.OPEN:
            self._read()

    def eof_received(self) -> None:
        # The transport closes itself then. An end without TLS's own is nothing to us: HTTP says how long
        # each message is.
        if self._at is _At.OPEN and not self._closing:
            self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        at, self._at = self._at, _At.ENDED
        if at in (_At.NEW, _At.SHAKING):
            self._gate.failed(Reason.GONE, self._raw)
        self._gate.leave(self)
        self._backlog.clear()
        if self._facade is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._network_is_full = True

    def resume_writing(self) -> None:
        self._network_is_full = False
        self._pump()

    # --- the handshake ---

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._say()
            return
        except ssl.SSLError as error:
            self._fail(_reason_of(error), _detail_of(error))
            return
        self._say()
        try:
            self.certificate = certificate_of(self._tls)
        except ValueError:
            self._fail(Reason.CERTIFICATE, "its names cannot be read")
            return
        self._end_deadline()
        self._at = _At.OPEN
        self._facade = TlsTransport(self)
        self._inner.connection_made(self._facade)

    def _fail(self, reason: Reason, detail: str) -> None:
        self._gate.failed(reason, self._raw, detail)
        self._refuse(self._outgoing.read())  # the alert

    def _out_of_time(self) -> None:
        self._gate.failed(Reason.SLOW, self._raw)
        self._at = _At.ENDED
        self._raw.abort()

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, last_words: bytes) -> None:
        """Say why, then leave."""
        if not last_words or self._raw.is_closing():
            self._at = _At.LEAVING
            self._raw.close()
            return
        self._raw.write(last_words)
        self._leave()

    # --- reading ---

    def _read(self) -> None:
        """Hand over all that can be decrypted."""
        if self._reading_is_paused or self._closing or self._said_all:
            return
        pieces: list[bytes] = []
        ended = broken = False
        try:
            while piece := self._tls.read(_READ_BYTES):
                pieces.append(piece)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            broken = True
        self._say()
        if pieces:
            self._inner.data_received(b"".join(pieces))
        if broken:
            self._raw.close()
        elif ended and not self._closing and not self._said_all:
            self._inner.eof_received()
            self.close()

    def pause_reading(self) -> None:
        """Of the inner protocol."""
        self._reading_is_paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Of the inner protocol. What was decrypted in part goes on in the next turn of the loop."""
        if not self._reading_is_paused or self._at is not _At.OPEN or self._closing or self._said_all:
            return
        self._reading_is_paused = False
        self._raw.resume_reading()
        asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._at is _At.OPEN:
            self._read()

    # --- writing ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Of the inner protocol."""
        if self._at is not _At.OPEN or self._closing or self._said_all or not data:
            return
        # Whoever writes may use its buffer again at once.
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        self._backlog.append(view)
        self._backlog_bytes += len(view)
        self._pump()

    def _pump(self) -> None:
        """Encrypt what waits, as much as the network takes."""
        if self._at is not _At.OPEN or self._raw.is_closing():
            return
        try:
            while self._backlog and not self._network_is_full:
                self._encrypt()
                self._raw.write(self._outgoing.read())
        except ssl.SSLError:
            self._raw.abort()
            return
        if self._backlog_bytes > _HIGH_WATER_BYTES and not self._inner_is_paused:
            self._inner_is_paused = True
            self._inner.pause_writing()
        elif self._backlog_bytes <= _LOW_WATER_BYTES and self._inner_is_paused:
            self._inner_is_paused = False
            self._inner.resume_writing()
        if not self._backlog and (self._closing or self._said_all):
            self._part()

    def _encrypt(self) -> None:
        """One record after the other, until there is enough to hand over."""
        while self._backlog and self._outgoing.pending < _AT_ONCE_BYTES:
            view = self._backlog[0]
            taken = self._tls.write(view)
            self._backlog_bytes -= taken
            if taken == len(view):
                self._backlog.popleft()
            else:
                self._backlog[0] = view[taken:]

    def _say(self) -> None:
        """Send what TLS itself has to say: its part of the handshake, alerts, new keys."""
        words = self._outgoing.read()
        if words and not self._raw.is_closing():
            self._raw.write(words)
            if self._raw.get_write_buffer_size() > _UNREAD_BYTES:
                self._raw.abort()

    # --- the end ---

    @property
    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing or self._at is not _At.OPEN or self._raw.is_closing()

    def close(self) -> None:
        """Send what waits, then end."""
        if self._at is _At.LEAVING:
            self._raw.close()
        if self._closing or self._at is not _At.OPEN:
            return
        self._closing = True
        self._raw.pause_reading()
        self._pump()

    def write_eof(self) -> None:
        """Send what waits, then leave: the inner protocol hears nothing more but that the connection is
        lost.
        """
        if self._said_all or self._closing or self._at is not _At.OPEN:
            return
        self._said_all = True
        self._raw.pause_reading()
        self._pump()

    def _part(self) -> None:
        """Say goodbye as TLS wants it, so that the other side knows that nothing was cut off."""
        with suppress(ssl.SSLError):  # the other side's goodbye is not waited for
            self._tls.unwrap()
        self._say()
        if self._closing:
            self._raw.close()
        elif not self._raw.is_closing():
            self._raw.resume_reading()
            self._leave()

    def _leave(self) -> None:
        """Read away what still comes, until the other side hangs up or does not get on: a connection closed
        with bytes unread is reset, and what was said last is lost with it.
        """
        self._at = _At.LEAVING
        self._raw.write_eof()
        self._wait_for_the_end()

    def _wait_for_the_end(self) -> None:
        unsent = self._raw.get_write_buffer_size()

        def still_there() -> None:
            if 0 < self._raw.get_write_buffer_size() < unsent:
                self._wait_for_the_end()
            else:
                self._raw.abort()

        self._end_deadline()
        self._deadline = asyncio.get_running_loop().call_later(self._gate.handshake_s, still_there)

    def abort(self) -> None:
        """End now."""
        self._raw.abort()

    @property
    def waiting_bytes(self) -> int:
        """What was written and is not sent."""
        return self._backlog_bytes + self._raw.get_write_buffer_size()

    def extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection; the network's transport knows the rest."""
        match name:
            case "ssl_object":
                return self._tls
            case "sslcontext":
                return self._tls.context
            case _ if name == CERTIFICATE:
                return self.certificate
            case _:
                return self._raw.get_extra_info(name, default)

    def turn_to(self, inner: asyncio.Protocol) -> None:
        """From now on `inner` gets what comes."""
        self._inner = inner

    @property
    def inner(self) -> asyncio.Protocol:
        """Who gets what comes."""
        return self._inner


class TlsTransport(asyncio.Transport):
    """What the inner protocol talks to."""

    def __init__(self, connection: TlsConnection) -> None:
        super().__init__()
        self._connection = connection

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._connection.extra_info(name, default)

    def is_closing(self) -> bool:
        return self._connection.is_closing

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101 - all of ours are
        self._connection.turn_to(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._connection.inner

    def pause_reading(self) -> None:
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._connection.resume_reading()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._connection.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self._connection.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._connection.write_eof()

    def get_write_buffer_size(self) -> int:
        return self._connection.waiting_bytes


def _reason_of(error: ssl.SSLError) -> Reason:
    """Which of our few reasons it is, by OpenSSL's name for it."""
    name = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError) or name == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Reason.CERTIFICATE
    if "ALERT" in name and ("CERTIFICATE" in name or "UNKNOWN_CA" in name):
        return Reason.REFUSED_US
    if name in _NO_COMMON_GROUND or "ALERT_PROTOCOL_VERSION" in name or "ALERT_HANDSHAKE_FAILURE" in name:
        return Reason.NO_COMMON_GROUND
    return Reason.BROKEN


_NO_COMMON_GROUND = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",
        "VERSION_TOO_LOW",
        "WRONG_SSL_VERSION",
        "NO_SHARED_CIPHER",
        "NO_SHARED_GROUP",
        "NO_SUITABLE_SIGNATURE_ALGORITHM",
        "NO_SHARED_SIGNATURE_ALGORITHMS",
        "INAPPROPRIATE_FALLBACK",
    }
)


def _detail_of(error: ssl.SSLError) -> str:
    """OpenSSL's words, without where in its sources they stand."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return (error.reason or "").lower().replace("_", " ")
