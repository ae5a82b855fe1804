"""Requests and replies as HTTP/1.1 writes them: what a head asks for, and the bytes of a reply.

`collector.http_exchange` asks of every request, `collector.http_protocol` has replies written. They are
written as the request was: OTLP's in JSON if its media type is application/json, in protobuf in every other
case, also for an unknown media type; those of other protocols as `collector.foreign.protocols` has it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from collector.codecs import ACCEPTED_ENCODINGS, Encoding, encoding_named
from collector.door import Form
from collector.foreign.protocols import HTTP, HttpProtocol
from collector.later import Later
from collector.refusals import UnsupportedTypeError
from collector.replies import Kind, Outcome, http_reply
from collector.settings import CollectorSettings
from ingest.signals import Signal

Field = tuple[bytes, bytes]
"""Name and value of a header."""
_OTLP_PATHS = {f"/v1/{signal}": signal for signal in Signal}
PATHS = _OTLP_PATHS | {path: protocol.signal for path, protocol in HTTP.items()}
_OTLP_FORMS = {form.value: form for form in Form if not form.is_foreign}
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
        foreign = self.foreign
        return self.stated_form or (Form.PROTOBUF if foreign is None else foreign.first_form)

    @property
    def foreign(self) -> HttpProtocol | None:
        """What is received at this path; None for OTLP and nothing."""
        return HTTP.get(self.path)

    @property
    def stated_form(self) -> Form | None:
        """How the body is written; None if that is nothing we read."""
        media_type, parameters = self._content_type()
        foreign = self.foreign
        if foreign is None:
            return _OTLP_FORMS.get(media_type)
        return foreign.form_of(media_type, parameters.get("proto", ""))

    @property
    def stated_bytes(self) -> int:
        """How large the body is; 0 if that is left open."""
        return int(self.headers.get("content-length", "0"))

    @property
    def wants_to_be_asked(self) -> bool:
        """Whether the body comes only after "100 Continue" (RFC 9110 10.1.1)."""
        return "100-continue" in self.headers.get("expect", "").lower()

    def _content_type(self) -> tuple[str, dict[str, str]]:
        """The media type and its parameters, in lower case."""
        media_type, *rest = self.headers.get("content-type", "").lower().split(";")
        pairs = (parameter.partition("=") for parameter in rest)
        return media_type.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


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
        where = [f"OTLP is received at {', '.join(_OTLP_PATHS)}"]
        where += [f"{protocol.name} at {path}" for path, protocol in HTTP.items()]
        raise EarlyRefusal(Kind.NOT_FOUND, f"nothing is here; {', '.join(where)}")
    if head.method != b"POST":
        raise EarlyRefusal(Kind.BAD_METHOD, "requests are sent with POST", (b"allow", b"POST"))
    form = head.stated_form
    if form is None:
        raise EarlyRefusal(Kind.UNSUPPORTED_TYPE, f"the content type must be {_accepted_types(head)}")
    encoding = _encoding_of(head)
    limit_bytes = settings.max_wire_bytes
    if encoding is Encoding.IDENTITY:
        limit_bytes = min(limit_bytes, settings.max_body_bytes)
    if head.stated_bytes > limit_bytes:
        raise EarlyRefusal(Kind.TOO_LARGE, too_large(limit_bytes))
    return Target(signal, form, encoding, limit_bytes)


def _accepted_types(head: Head) -> str:
    return " or ".join(_OTLP_FORMS) if head.foreign is None else head.foreign.accepted_types


def _encoding_of(head: Head) -> Encoding:
    """How the body is compressed. Remote write is always snappy, said or not."""
    named = head.headers.get("content-encoding", "")
    if head.foreign is not None and head.foreign.is_block:
        if named.strip().lower() in ("", "snappy"):
            return Encoding.SNAPPY_BLOCK
        accepted = (b"accept-encoding", b"snappy")
        raise EarlyRefusal(Kind.UNSUPPORTED_TYPE, f"{head.foreign.name} is compressed with snappy", accepted)
    try:
        return encoding_named(named)
    except UnsupportedTypeError as error:
        accepted = (b"accept-encoding", ACCEPTED_ENCODINGS.encode())
        raise EarlyRefusal(Kind.UNSUPPORTED_TYPE, str(error), accepted) from error


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
        foreign = None if head is None else head.foreign
        if foreign is not None:
            reply = foreign.reply(outcome, retry_after_s=retry_after_s)
        else:
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
