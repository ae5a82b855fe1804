"""Whether a request may be stored, and in which form. The receivers call `check` for every request they have
decompressed, before it goes to the spool.

Nearly every request passes the compiled walk without a flag and is stored as the sender wrote it. Only the
others are parsed, repaired and written anew; what was written is walked once more, so that nothing reaches
the spool which the walk does not call clean.

The trap: the slow way runs in Python, holds the interpreter and takes many times the memory of the body (two
bytes may say "a span with nothing in it"). Its memory is estimated before (`collector.check.weight`), and the
intake takes it in a thread, one request at a time. Hence `look`, which never takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from collector.check import walk
from collector.check.gate import TimeGate, Window
from collector.check.rewrite import clear_indexes, make_holdable
from collector.check.rules import clear_ids, refuse
from collector.check.scrub import Scrubbed, Scrubber, table_of
from collector.check.tables import REQUESTS, TABLES
from collector.check.weight import memory_needed
from collector.check.wording import Findings
from collector.errors import BadRequestError, CollectorError
from collector.refusals import TooLargeError
from ingest import unfolded
from ingest.signals import Signal

__all__ = ["Checked", "TimeGate", "check", "look", "warm_up"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of a request.

    `body` is what goes to the spool: the sender's own bytes unless the request had to be repaired.
    `items` counts the accepted spans, data points or log records in it, `rejected` those taken out;
    `reason` says why, and is empty when none was. `warning` is a remark that refuses nothing, or empty.
    `timed`: every accepted record carries a time, so the same bytes once more are the same records.
    `dropped` and `hashed` count attributes.
    """

    body: bytes
    items: int
    rejected: int
    reason: str
    warning: str
    timed: bool = True
    dropped: int = 0
    hashed: int = 0


@dataclass(frozen=True, slots=True)
class _Verdict:
    items: int
    flags: int
    """Faults."""
    position: int
    timed: bool


_NO_NAMES = table_of([])


def warm_up() -> None:
    """Load the compiled code, or compile it (some seconds), so that no request has to wait for it."""
    _walk(Signal.TRACES, b"", Window(0, 0))
    memory_needed(Signal.TRACES, b"")
    unfolded.warm_up()


def look(
    signal: Signal,
    body: bytes,
    *,
    gate: TimeGate,
    now_ns: int,
    store_bytes: int | None = None,
    scrubber: Scrubber | None = None,
) -> Checked | None:
    """What `check` would say, if the request may be stored as it came; None if `check` has work to do."""
    verdict = _walk(signal, body, gate.window(now_ns), scrubber)
    if verdict.flags:
        return None
    return _storable(signal, Checked(body, verdict.items, 0, "", "", verdict.timed), store_bytes)


def check(
    signal: Signal,
    body: bytes,
    *,
    gate: TimeGate,
    now_ns: int,
    memory_bytes: int | None = None,
    store_bytes: int | None = None,
    scrubber: Scrubber | None = None,
) -> Checked:
    """Check a serialised OTLP export request of this signal (reference: OTLP 1.x, "Partial Success").

    `now_ns` is the time of arrival in ns since 1970. `scrubber` takes out what must not be stored. An empty
    request has no items and is fine. Raises BadRequestError when the bytes are not such a request, or
    nested too deeply, and TooLargeError when repairing it would take more than `memory_bytes`, or storing
    it more than `store_bytes`.
    """
    checked = _checked(signal, body, gate.window(now_ns), memory_bytes, scrubber)
    return _storable(signal, checked, store_bytes)


def _storable(signal: Signal, checked: Checked, store_bytes: int | None) -> Checked:
    if store_bytes is None or unfolded.most_unfolded_bytes(checked.body, checked.items) <= store_bytes:
        return checked
    if (needed := unfolded.unfolded_bytes(signal, checked.body)) > store_bytes:
        raise TooLargeError(
            f"storing the request would take some {needed >> 20} MiB of memory, {store_bytes >> 20} MiB are"
            f" allowed: values of a resource longer than {unfolded.NAME_BYTES} bytes count again for each of"
            " its records. Send fewer records in a request, or shorten those values"
        )
    return checked


def _checked(
    signal: Signal, body: bytes, window: Window, memory_bytes: int | None, scrubber: Scrubber | None
) -> Checked:
    verdict = _walk(signal, body, window, scrubber)
    if not verdict.flags:
        return Checked(body, verdict.items, 0, "", "", verdict.timed)
    _refuse_depth(verdict)
    if memory_bytes is not None and memory_needed(signal, body) > memory_bytes:
        raise TooLargeError(
            "the request is not clean (records out of time, unknown fields or the like) and has too many"
            " parts to be repaired; send smaller batches"
        )
    request = _parsed(signal, body, verdict)
    if verdict.flags & (walk.ODD | walk.MALFORMED | walk.BAD_UTF8):
        # The walk did not come to the end. Protobuf has understood the request, so walk its wording of it.
        body = request.SerializeToString()
        verdict = _walk(signal, body, window, scrubber)
        _refuse_depth(verdict)
    scrubbed = Scrubbed()
    if scrubber is not None and verdict.flags & walk.DENIED:
        scrubbed = scrubber.scrub(request)
        if verdict.flags == walk.DENIED and scrubbed == Scrubbed():
            return Checked(body, verdict.items, 0, "", "", verdict.timed)  # a name that only resembles one
    return _repaired(signal, request, body, verdict, window, scrubbed)


def _walk(signal: Signal, body: bytes, window: Window, scrubber: Scrubber | None = None) -> _Verdict:
    walked = walk.load()
    root = TABLES.roots[signal]
    names = _NO_NAMES if scrubber is None else scrubber.table
    items, flags, position = walked(
        body, root, TABLES.fields, TABLES.roles, names, window.earliest_ns, window.latest_ns
    )
    return _Verdict(items, flags & ~walk.UNTIMED, position, timed=not flags & walk.UNTIMED)


def _refuse_depth(verdict: _Verdict) -> None:
    if verdict.flags & walk.TOO_DEEP:
        raise BadRequestError(
            f"the request is nested too deeply at byte {verdict.position}: attribute values may be nested"
            f" {walk.MAX_VALUE_LEVELS} levels deep, and messages {walk.MAX_MESSAGE_LEVELS}"
        )


def _parsed(signal: Signal, body: bytes, verdict: _Verdict) -> Any:
    """The request as protobuf reads it, without the fields it does not know."""
    request = REQUESTS[signal]()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise BadRequestError(f"not a valid {request.DESCRIPTOR.name}: {_fault(verdict, error)}") from error
    request.DiscardUnknownFields()
    return request


def _fault(verdict: _Verdict, error: DecodeError) -> str:
    """Where and what, from whoever of the two knows it better."""
    if verdict.flags & walk.BAD_UTF8:
        return f"a text field is not UTF-8, at byte {verdict.position}"
    if verdict.flags & walk.MALFORMED:
        return f"truncated or damaged, at byte {verdict.position}"
    return f"{str(error).rpartition(': ')[2]}, at byte {verdict.position} or later"


def _repaired(
    signal: Signal, request: Any, body: bytes, verdict: _Verdict, window: Window, scrubbed: Scrubbed
) -> Checked:
    """`request` and `body` say the same, but for what was scrubbed; `verdict` is that of a complete walk."""
    refused, cleared, indexes = Findings(), Findings(), 0
    if verdict.flags & (walk.TIME | walk.IDS):
        refused = refuse(signal, request, window)
    if verdict.flags & walk.IDS:
        cleared = clear_ids(signal, request)
    if verdict.flags & walk.STRING_INDEX:
        indexes = clear_indexes(request)
    # A map whose last member was dropped is an empty one, which cannot be held either.
    in_records = bool(verdict.flags & walk.RECORD_REWRITE or scrubbed.dropped)
    if in_records or verdict.flags & walk.REWRITE:
        make_holdable(request, in_records=in_records)
    if verdict.flags:
        body = request.SerializeToString()
    final = _walk(signal, body, window)  # without names: a hashed attribute keeps its own
    if final.flags or final.items + refused.total != verdict.items:
        raise CollectorError(
            f"a repaired {request.DESCRIPTOR.name} is still not clean (flags {final.flags} at byte"
            f" {final.position}, {final.items} items, {refused.total} refused, {verdict.items} before)"
        )
    warning = "; ".join(filter(None, [cleared.remark(), _index_remark(indexes)]))
    reason = refused.refusal(signal, verdict.items)
    return Checked(
        body,
        final.items,
        refused.total,
        reason,
        warning,
        final.timed,
        scrubbed.dropped,
        scrubbed.hashed,
    )


def _index_remark(indexes: int) -> str:
    if not indexes:
        return ""
    return f"{indexes} references to a string table, which only profiles have, taken as absent"
