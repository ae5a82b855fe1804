"""OTLP requests and replies as HTTP/1.1 writes them: what a head asks for, and the bytes of a reply.

`collector.http_exchange` asks of every request, `collector.http_protocol` has replies written. They are
written as the request was: JSON if its media type is application/json, protobuf in every other case, also for
an unknown media type.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from collector.codecs import ACCEPTED_ENCODINGS, Encoding, encoding_named
from collector.door import Form
from collector.later import Later
from collector.refusals import UnsupportedTypeError
from collector.replies import Kind, Outcome, http_reply
from collector.settings import CollectorSettings
from ingest.signals import Signal

Field = tuple[bytes, bytes]
"""Name and value of a header."""
PATHS = {f"/v1/{signal}": signal for signal in Signal}
_FORMS = {form.value: form for form in Form}
_CLOSE = (b"connection", b"close")
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


@dataclass(frozen=True, slots=True)
class Head:
    """The line and headers of a request. Names are lower case, repeated headers joined."""

    method: bytes
    path: str
    headers: Mapping[str, str]

    @property
    def signal(self) -> Signal | None:
        """What is sent to this path; None if nothing is here."""
        return PATHS.get(self.path)

    @property
    def form(self) -> Form:
        """How to answer, whatever the request turns out to be."""
        return _FORMS.get(self._media_type(), Form.PROTOBUF)

    @property
    def stated_form(self) -> Form | None:
        """How the body is written; None if that is nothing we read."""
        return _FORMS.get(self._media_type())

    @property
    def stated_bytes(self) -> int:
        """How large the body is; 0 if that is left open."""
        return int(self.headers.get("content-length", "0"))

    @property
    def wants_to_be_asked(self) -> bool:
        """Whether the body comes only after "100 Continue" (RFC 9110 10.1.1)."""
        return "100-continue" in self.headers.get("expect", "").lower()

    def _media_type(self) -> str:
        """Without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Target:
    """What an acceptable head asks for."""

    signal: Signal
    form: Form
    encoding: Encoding
    limit_bytes: int


class EarlyRefusal(Exception):  # noqa: N818 - not an error but a reply known before the body is read
    """Answer with `outcome` and these headers besides the usual ones."""

    def __init__(self, kind: Kind, message: str, *headers: Field) -> None:
        super().__init__(message)
        self.outcome = Outcome(kind, message)
        self.headers = headers


def target_of(head: Head, settings: CollectorSettings) -> Target:
    """What a request asks for. Raises EarlyRefusal for all that its line and headers rule out."""
    signal = head.signal
    if signal is None:
        raise EarlyRefusal(Kind.NOT_FOUND, f"nothing is here; OTLP is received at {', '.join(PATHS)}")
    if head.method != b"POST":
        raise EarlyRefusal(Kind.BAD_METHOD, "OTLP requests are sent with POST", (b"allow", b"POST"))
    form = head.stated_form
    if form is None:
        raise EarlyRefusal(Kind.UNSUPPORTED_TYPE, f"the content type must be {' or '.join(_FORMS)}")
    try:
        encoding = encoding_named(head.headers.get("content-encoding", ""))
    except UnsupportedTypeError as error:
        accepted = (b"accept-encoding", ACCEPTED_ENCODINGS.encode())
        raise EarlyRefusal(Kind.UNSUPPORTED_TYPE, str(error), accepted) from error
    limit_bytes = settings.max_wire_bytes
    if encoding is Encoding.IDENTITY:
        limit_bytes = min(limit_bytes, settings.max_body_bytes)
    if head.stated_bytes > limit_bytes:
        raise EarlyRefusal(Kind.TOO_LARGE, too_large(limit_bytes))
    return Target(signal, form, encoding, limit_bytes)


def too_large(limit_bytes: int) -> str:
    """Why a body of more bytes than these is refused."""
    return f"the request is larger than {limit_bytes} bytes; send smaller batches"


class Writer:
    """Writes the replies of one listener."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._date = (0, b"")

    def reply(
        self,
        outcome: Outcome,
        head: Head | None,
        *,
        closes: bool,
        headers: Sequence[Field] = (),
    ) -> bytes:
        """A whole reply. `head` is None where the request could not be read, `closes` if nothing follows on
        this connection."""
        signal, form = (None, Form.PROTOBUF) if head is None else (head.signal, head.form)
        retry_after_s = self._later.seconds(outcome.retry_after_s) if outcome.codes.retry else 0
        reply = http_reply(outcome, signal, form, retry_after_s=retry_after_s)
        lines = [_STATUS_LINES[reply.status], b"date: ", self._now(), b"\r\n"]
        for name, value in (*reply.headers, *headers, *((_CLOSE,) if closes else ())):
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        if head is None or head.method != b"HEAD":
            lines.append(reply.body)
        return b"".join(lines)

    def _now(self) -> bytes:
        """The Date header's value, made once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True).encode())
        return self._date[1]
