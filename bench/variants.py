"""Makes many different requests of a few: the same records at other times, under other ids.

What is sent twice in the same bytes is recognised and not stored again, and what always has the same times
and ids is easier to sort and compress than telemetry is. So each request is its own: its times follow those
of the request before as the seconds of the measurement go by, and its ids are drawn anew: spans that were of
one trace still are.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.requests import WRITE_TIME_MS, Load, bodies
from ingest.signals import Signal

KINDS = 64
"""Requests that are made in full; the others are variants of those."""
_REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_TIMES = {"start_time_unix_nano", "end_time_unix_nano", "time_unix_nano", "observed_time_unix_nano"}
_IDS = {"trace_id", "span_id", "parent_span_id"}
_POINT_S = 10
"""A series is collected every ten seconds."""


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids of one length in a request."""

    places: NDArray[np.int64]
    """Of each byte; a row for each id."""
    which: NDArray[np.int64]
    """For each row the number of its id: rows of the same id have the same."""
    count: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """A request, and where its times (8 bytes, ns) and ids lie in it."""

    body: NDArray[np.uint8]
    times: NDArray[np.int64]
    ids: Sequence[_Ids]
    newest_ns: int


def variants(load: Load, count: int, seconds: float, seed: int = 1) -> Iterator[bytes]:
    """So many requests as if they had been made one after the other during the last `seconds`; the points of
    metrics every ten seconds."""
    if load.message:
        yield from _writes(load, count, seed)
        return
    draw = np.random.default_rng(seed)
    kinds = [_kind(load.signal, body) for body in bodies(load, min(count, KINDS), seed)]
    rounds = -(-count // KINDS)
    step_ns = _POINT_S * 10**9 if load.signal is Signal.METRICS else int(seconds * 1e9 / max(1, count))
    now_ns = time.time_ns()
    for number in range(count):
        kind = kinds[number % KINDS]
        steps = number // KINDS - rounds if load.signal is Signal.METRICS else number - count
        yield _variant(kind, now_ns + steps * step_ns - kind.newest_ns, draw)


def _writes(load: Load, count: int, seed: int) -> Iterator[bytes]:
    """The same for remote write: its series are collected every ten seconds, too. Times have six bytes as
    long as anybody will measure."""
    made = bodies(load, min(count, KINDS), seed)
    rounds = -(-count // KINDS)
    old = _write_time(WRITE_TIME_MS)
    for number in range(count):
        steps = number // KINDS - rounds
        yield made[number % KINDS].replace(old, _write_time(WRITE_TIME_MS + steps * _POINT_S * 1000))


def _write_time(time_ms: int) -> bytes:
    """A sample's time, as it stands behind its value."""
    return b"\x10" + bytes(time_ms >> shift & 0x7F | (0x80 if shift < 35 else 0) for shift in range(0, 42, 7))


def _variant(kind: _Kind, later_ns: int, draw: np.random.Generator) -> bytes:
    body = kind.body.copy()
    places = kind.times[:, None] + np.arange(8)
    times = body[places].view("<i8") + later_ns
    body[places] = times.view(np.uint8)
    for ids in kind.ids:
        drawn = draw.integers(1, 256, (ids.count, ids.places.shape[1]), np.uint8)
        body[ids.places] = drawn[ids.which]
    return body.tobytes()


def _kind(signal: Signal, body: bytes) -> _Kind:
    times: list[int] = []
    ids: dict[int, list[tuple[int, bytes]]] = {}
    newest_ns = 0
    at = 0
    for name, value in _fields(_REQUESTS[signal].FromString(body)):
        wanted = struct.pack("<Q", value) if name in _TIMES else value
        at = body.index(wanted, at)
        if name in _TIMES:
            newest_ns = max(newest_ns, value)
            times.append(at)
        else:
            ids.setdefault(len(wanted), []).append((at, wanted))
        at += len(wanted)
    return _Kind(
        np.frombuffer(body, np.uint8),
        np.array(times, np.int64),
        [_ids(size, found) for size, found in ids.items()],
        newest_ns,
    )


def _ids(size: int, found: list[tuple[int, bytes]]) -> _Ids:
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(value, len(numbers)) for _, value in found]
    starts = np.array([at for at, _ in found], np.int64)
    return _Ids(starts[:, None] + np.arange(size), np.array(which, np.int64), len(numbers))


def _fields(message: Message) -> Iterator[tuple[str, Any]]:
    """Times and ids in the order in which they are written."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                yield from _fields(each)
        elif field.name in _TIMES or field.name in _IDS:
            yield field.name, value
