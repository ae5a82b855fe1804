"""What senders of remote write are answered (Remote-Write 2.0, section "Response"): nothing with a success,
else a sentence, and always how many elements of which sort are stored. `collector.http_message` asks for it.

The trap: a sender that finds none of these headers with a success takes the receiver for one of version 1
that has understood nothing.
"""

from __future__ import annotations

from http import HTTPStatus

from collector.replies import MAX_PARTIAL_CHARS, HttpReply, Kind, Outcome, clean

_PREFIX = b"x-prometheus-remote-write-"


def write_reply(outcome: Outcome, *, retry_after_s: int) -> HttpReply:
    """The reply to a request of either version."""
    written = outcome.written
    headers = [
        (_PREFIX + name + b"-written", str(number).encode())
        for name, number in (
            (b"samples", written.samples),
            (b"histograms", written.histograms),
            (b"exemplars", written.exemplars),
        )
    ]
    if outcome.codes.retry:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if outcome.kind is Kind.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b'Bearer realm="Lowtide"'))
    if outcome.kind is Kind.OK:
        return HttpReply(HTTPStatus.NO_CONTENT, headers, b"")
    body = clean(outcome.message, MAX_PARTIAL_CHARS).encode() + b"\n"
    headers += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    return HttpReply(outcome.codes.http, headers, body)
