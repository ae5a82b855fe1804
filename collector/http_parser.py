"""Reads the requests of one HTTP/1.1 connection with llhttp (httptools), and bounds what is no part of a
body. `collector.http_protocol` feeds it and is told what came.

Two traps. llhttp takes a request that asks for another protocol (`Upgrade: h2c`, which the JDK's HttpClient
adds to every request) to end with its headers, and an empty body is what OTLP calls a success; a server may
ignore that wish (RFC 9110 7.8), so such a head is parsed once more without it. And llhttp takes whatever its
callbacks raise for a broken request, and otherwise goes on with all that it was given, whatever happened
meanwhile.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote

import httptools
import structlog

from collector.door import Transport, joined
from collector.http_message import Field, Head
from collector.outcomes import INTERNAL_ERROR
from collector.replies import Kind, Outcome

log = structlog.get_logger(__name__)

_SEPARATORS = 4  # the colon, a space and the end of the line
_UNREADABLE = Outcome(Kind.BAD_DATA, "this is not an HTTP/1.1 request that can be read")


class Sink(Protocol):
    """Is told what comes, in order."""

    def request_begins(self) -> None:
        """Its first byte is here."""

    def head_comes(self, head: Head, refusal: Outcome | None, *, keeps_alive: bool) -> None:
        """Its line and headers, and why they are refused if they are. `keeps_alive`: another may follow."""

    def body_comes(self, piece: bytes) -> None:
        """Some of its body."""

    def request_ends(self) -> None:
        """All of it has come."""

    def request_breaks(self, outcome: Outcome) -> None:
        """It cannot be read on, nor can anything after it."""


class RequestParser:
    """Of one connection. Once stopped it tells of no other head: only of bodies, and where requests end."""

    def __init__(self, sink: Sink, max_header_bytes: int) -> None:
        self._sink = sink
        self._max_header_bytes = max_header_bytes
        self._llhttp: httptools.HttpRequestParser | None = _llhttp_of(self)
        self._url = b""
        self._fields: list[Field] = []
        self._overhead_bytes = 0
        """What came in a row that was no body: empty lines, heads, trailers, what stands beside chunks'
        lengths."""
        self.is_in_head = False
        self.is_stopped = False

    def feed(self, data: bytes) -> None:
        """Take what was read; raises nothing."""
        self._overhead_bytes += len(data)
        self._parse(data)
        if self._overhead_bytes > self._max_header_bytes:
            self._break(self._large_headers())

    def stop(self) -> None:
        """Nothing more is wanted; a callback may say so too."""
        self.is_stopped = True

    def close(self) -> None:
        """The connection is gone; nothing is told any more. llhttp, this and the sink know each other: what
        they hold would stay in memory until somebody looks for such rings."""
        self.stop()
        self._llhttp = None
        del self._sink

    def _parse(self, data: bytes) -> None:
        while self._llhttp is not None:
            try:
                self._llhttp.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.is_stopped:
                    return
                if self._llhttp.get_method() == b"CONNECT":
                    self._break(_UNREADABLE)
                    return
                data = self._head_without_upgrade(self._llhttp) + data[upgrade.args[0] :]
                self._llhttp = _llhttp_of(self)
            except httptools.HttpParserError as error:
                if not self.is_stopped:
                    self._break(_outcome_of(error))
                return
            else:
                return

    def _head_without_upgrade(self, llhttp: httptools.HttpRequestParser) -> bytes:
        """The request line and headers just parsed, as they came but for the wish for another protocol."""
        lines = [llhttp.get_method() + b" " + self._url + b" HTTP/" + llhttp.get_http_version().encode()]
        lines += [name + b": " + value for name, value in self._fields if name.lower() != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _break(self, outcome: Outcome) -> None:
        if not self.is_stopped:
            self._sink.request_breaks(outcome)

    def _large_headers(self) -> Outcome:
        return Outcome(
            Kind.LARGE_HEADERS,
            f"the request line and headers are larger than {self._max_header_bytes} bytes",
        )

    # --- llhttp's calls

    def on_message_begin(self) -> None:
        self._url = b""
        self._fields = []
        self.is_in_head = True
        self._sink.request_begins()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_in_head:  # trailers are of no use to anybody here
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_stopped or self._llhttp is None:
            return
        size_bytes = len(self._url)
        for name, value in self._fields:
            size_bytes += len(name) + len(value) + _SEPARATORS
        refusal = self._large_headers() if size_bytes > self._max_header_bytes else None
        if self._llhttp.should_upgrade():
            # Not yet: `_parse` comes back with the same head, without the upgrade.
            if refusal is not None:
                self._break(refusal)
            return
        self.is_in_head = False
        self._overhead_bytes = 0
        keeps_alive = self._llhttp.should_keep_alive() and self._llhttp.get_http_version() != "1.0"
        head = Head(self._llhttp.get_method(), _path_of(self._url), _headers_of(self._fields))
        self._sink.head_comes(head, refusal, keeps_alive=keeps_alive)

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        self._sink.body_comes(body)

    def on_message_complete(self) -> None:
        if self._llhttp is None or (self._llhttp.should_upgrade() and not self.is_stopped):
            return  # it has not even begun; stopped, it will not come again, and all of it was read
        self._overhead_bytes = 0
        self._sink.request_ends()


def _outcome_of(error: httptools.HttpParserError) -> Outcome:
    """What an error of llhttp means, which also reports what its callbacks raised."""
    cause = error.__context__
    if not isinstance(error, httptools.HttpParserCallbackError) or isinstance(
        cause, (httptools.HttpParserError, UnicodeError)
    ):
        return _UNREADABLE
    log.error("an unexpected error refused a request", transport=Transport.HTTP.value, exc_info=cause)
    return INTERNAL_ERROR


def _llhttp_of(parser: RequestParser) -> httptools.HttpRequestParser:
    llhttp = httptools.HttpRequestParser(parser)
    # Bytes after a request that is to be the last are no fault of that request.
    llhttp.set_dangerous_leniencies(lenient_data_after_close=True)
    return llhttp


def _path_of(url: bytes) -> str:
    """Without host and query. Raises HttpParserError or UnicodeError."""
    path = (httptools.parse_url(url).path or b"/").decode("ascii")
    return unquote(path) if "%" in path else path


def _headers_of(fields: list[Field]) -> dict[str, str]:
    return joined((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields)
