"""What senders of other tracers' spans and the like are answered: over HTTP 202 as from their own servers,
and a sentence if something was refused. `collector.foreign.protocols` has it in its rows.
"""

from __future__ import annotations

from http import HTTPStatus

import grpc

from collector.replies import MAX_ERROR_CHARS, MAX_PARTIAL_CHARS, GrpcReply, HttpReply, Kind, Outcome, clean


def accepted(outcome: Outcome, *, retry_after_s: int) -> HttpReply:
    """The reply: 202 for what is stored, also where a part of it was refused, which none of these protocols
    can say but in words."""
    headers = []
    if outcome.codes.retry:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if outcome.kind is Kind.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b'Bearer realm="Lowtide"'))
    status = HTTPStatus.ACCEPTED if outcome.kind is Kind.OK else outcome.codes.http
    body = clean(outcome.message, MAX_PARTIAL_CHARS).encode() + b"\n" if outcome.message else b""
    if body:
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    headers.append((b"content-length", str(len(body)).encode()))
    return HttpReply(status, headers, body)


def called(outcome: Outcome) -> GrpcReply:
    """The reply to a call that succeeded: an empty message, and what was refused in a trailer, for there is
    no other place."""
    message = clean(outcome.message, MAX_ERROR_CHARS).encode()
    return GrpcReply(grpc.StatusCode.OK, "", (("lowtide-refused-bin", message),) if message else (), b"")
