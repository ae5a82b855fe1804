"""Looks at an HTTP reply with one question in mind. Used by the rules over HTTP.

Each function of the first part is a judge: a reply in, a finding out. The second part reads the two messages
a reply may hold. The trap: protobuf reads nearly anything as nearly any message, so the media type counts
first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from ingest.signals import Signal
from lowtide.conformance.http_wire import JSON, PROTOBUF, HttpReply
from lowtide.conformance.rule import Finding, failed, passed, unjudged, unsupported
from lowtide.conformance.samples import RESPONSES

Judge = Callable[[HttpReply], Finding]

_SHOWN_CHARS = 120


def accepted(reply: HttpReply) -> Finding:
    """200, and no record refused."""
    said = told(reply)
    if reply.status != 200:
        return failed(said)
    success = success_of(reply)
    if success is not None and success.rejected:
        return failed(f"200, but {success.rejected} refused: {success.message or 'no reason given'}")
    return passed(said)


def signal_accepted(reply: HttpReply) -> Finding:
    """As `accepted`; a signal that is not there is none that must be."""
    return (
        unsupported(f"{told(reply)}: this signal is not received") if reply.status == 404 else accepted(reply)
    )


def optional(reply: HttpReply) -> Finding:
    """As `accepted`, but nothing asks for it."""
    finding = accepted(reply)
    return finding if reply.status == 200 else unsupported(finding.observed)


def status_in(*statuses: int) -> Judge:
    """One of these statuses."""
    return lambda reply: passed(told(reply)) if reply.status in statuses else failed(told(reply))


def refused(reply: HttpReply) -> Finding:
    """400, or 200 with every record refused."""
    success = success_of(reply) if reply.status == 200 else None
    if success is not None and success.rejected:
        return passed(f"200, {success.rejected} refused: {success.message or 'no reason given'}")
    return status_in(400)(reply)


def settled(reply: HttpReply) -> Finding:
    """Taken or refused for good: 200 or 400."""
    return status_in(200, 400)(reply)


def kind_as_sent(reply: HttpReply) -> Finding:
    """The media type of the request."""
    if reply.problem:
        return failed(reply.problem)
    said = reply.headers.get("content-type") or "no content type"
    return passed(said) if reply.kind == reply.form else failed(f"{said} with status {reply.status}")


def holds_success(reply: HttpReply) -> Finding:
    """The body is the response message of the signal."""
    if reply.status != 200:
        return unjudged(f"no success to look at: {told(reply)}")
    return failed(told(reply)) if success_of(reply) is None else passed(told(reply))


def leaves_partial_unset(reply: HttpReply) -> Finding:
    """`partial_success` is absent, or says something."""
    success = success_of(reply) if reply.status == 200 else None
    if success is None:
        return unjudged(f"no success to look at: {told(reply)}")
    if success.rejected:
        return unjudged(f"{success.rejected} refused: {success.message}")
    if success.is_partial and not success.message:
        return failed("partial_success is set and empty")
    return passed(f"a warning: {success.message}" if success.is_partial else "unset")


def holds_status(reply: HttpReply) -> Finding:
    """The body of a failure is a google.rpc.Status, in protobuf or in JSON as its media type says."""
    if not 400 <= reply.status < 600:
        return unjudged(f"no failure to look at: {told(reply)}")
    return failed(told(reply)) if status_of(reply) is None else passed(told(reply))


def holds_message(reply: HttpReply) -> Finding:
    """That status has a message."""
    status = status_of(reply)
    if status is None:
        return unjudged(f"no status to look at: {told(reply)}")
    return passed(status.message[:_SHOWN_CHARS]) if status.message else failed("Status.message is empty")


def holds_bad_request(reply: HttpReply) -> Finding:
    """That status has details about bad data."""
    status = status_of(reply)
    if status is None or reply.status != 400:
        return unjudged(f"no status of bad data to look at: {told(reply)}")
    return passed("BadRequest") if status.has_bad_request else failed("no BadRequest in Status.details")


def allows_post(reply: HttpReply) -> Finding:
    """405 names the methods there are."""
    if reply.status != 405:
        return unjudged(f"no 405 to look at: {told(reply)}")
    allowed = reply.headers.get("allow")
    names = {name.strip().upper() for name in (allowed or "").split(",")}
    return passed(f"Allow: {allowed}") if "POST" in names else failed(f"Allow: {allowed or '(absent)'}")


def squeezed(reply: HttpReply) -> Finding:
    """The reply is in gzip."""
    if reply.status != 200:
        return unjudged(f"no success to look at: {told(reply)}")
    coding = reply.headers.get("content-encoding", "none")
    return passed(coding) if coding == "gzip" else unsupported(f"content encoding {coding}")


# What a reply holds


@dataclass(frozen=True, slots=True)
class Success:
    """What an Export*ServiceResponse says. `is_partial`: `partial_success` is there."""

    is_partial: bool
    rejected: int
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What a google.rpc.Status says."""

    message: str
    has_bad_request: bool


def success_of(reply: HttpReply) -> Success | None:
    """The response message, None if the body is none."""
    name = reply.request.path.rpartition("/")[2]
    if name not in list(Signal):
        return None
    signal = Signal(name)
    if reply.kind == JSON:
        return _success_in_json(signal, reply.body)
    return success_in(signal, reply.body) if reply.kind == PROTOBUF else None


def success_in(signal: Signal, body: bytes) -> Success | None:
    """The response message of the signal in protobuf, None if the bytes are none."""
    made, counter, _ = RESPONSES[signal]
    response: Any = made()
    try:
        response.ParseFromString(body)
    except DecodeError:
        return None
    partial = response.partial_success
    return Success(response.HasField("partial_success"), getattr(partial, counter), partial.error_message)


def _success_in_json(signal: Signal, body: bytes) -> Success | None:
    written = _object(body)
    partial = None if written is None else written.get("partialSuccess")
    if written is None or not isinstance(partial, dict | None):
        return None
    said = partial or {}
    try:
        rejected = int(said.get(RESPONSES[signal][2]) or 0)
    except (TypeError, ValueError):
        return None
    return Success(partial is not None, rejected, str(said.get("errorMessage") or ""))


def status_of(reply: HttpReply) -> Failure | None:
    """The status message, None if the body is none or empty: it would describe nothing."""
    if not reply.body:
        return None
    if reply.kind == JSON:
        return _status_in_json(reply.body)
    if reply.kind != PROTOBUF:
        return None
    try:
        status = Status.FromString(reply.body)
    except DecodeError:
        return None
    return Failure(status.message, has_bad_request(status))


def has_bad_request(status: Status) -> bool:
    """Whether the details of a status say what is wrong with the data."""
    return any(detail.Is(BadRequest.DESCRIPTOR) for detail in status.details)


def _status_in_json(body: bytes) -> Failure | None:
    written = _object(body)
    if not written or not isinstance(written.get("message", ""), str):
        return None
    if not ({"code", "message"} & written.keys()) or not isinstance(written.get("code", 0), int):
        return None
    details = written.get("details") or []
    if not isinstance(details, list):
        return None
    kinds = [str(detail.get("@type", "")) for detail in details if isinstance(detail, dict)]
    return Failure(written.get("message", ""), any(kind.endswith("/google.rpc.BadRequest") for kind in kinds))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        written = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return written if isinstance(written, dict) else None


def told(reply: HttpReply) -> str:
    """The reply for people, with the reason that a failure gives."""
    status = status_of(reply) if reply.status >= 400 else None
    reason = status.message if status is not None else ""
    if not reason and reply.status >= 400 and reply.kind.startswith("text/"):
        reason = reply.body.decode("utf-8", "replace").strip()
    return f"{reply}: {reason[:_SHOWN_CHARS]}" if reason else str(reply)
