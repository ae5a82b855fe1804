"""The estimate is never below what protobuf takes, nor so far above that ordinary requests are refused."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.check.check import TimeGate, check
from collector.check.tables import REQUESTS
from collector.check.weight import memory_needed
from collector.refusals import TooLargeError
from ingest.signals import Signal

MIB = 1024 * 1024
PARTS = 400_000


def delimited(number: int, content: bytes) -> bytes:
    size = len(content)
    length = bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes([*length, size]) + content


def inside(*numbers: int, content: bytes) -> bytes:
    for number in reversed(numbers):
        content = delimited(number, content)
    return content


# The most wasteful ways to write each kind of message: empty ones, again and again.
WASTEFUL = {
    "resource spans": (Signal.TRACES, delimited(1, b"") * PARTS),
    "scope spans": (Signal.TRACES, inside(1, content=delimited(2, b"") * PARTS)),
    "spans": (Signal.TRACES, inside(1, 2, content=delimited(2, b"") * PARTS)),
    "attributes": (Signal.TRACES, inside(1, 2, 2, content=delimited(9, b"") * PARTS)),
    "values": (Signal.TRACES, inside(1, 2, 2, content=delimited(9, delimited(2, b"")) * PARTS)),
    "events": (Signal.TRACES, inside(1, 2, 2, content=delimited(11, b"") * PARTS)),
    "links": (Signal.TRACES, inside(1, 2, 2, content=delimited(13, b"") * PARTS)),
    "logs": (Signal.LOGS, inside(1, 2, content=delimited(2, b"") * PARTS)),
    "metrics": (Signal.METRICS, inside(1, 2, content=delimited(2, b"") * PARTS)),
    "gauge points": (Signal.METRICS, inside(1, 2, 2, 5, content=delimited(1, b"") * PARTS)),
    "histogram points": (Signal.METRICS, inside(1, 2, 2, 9, content=delimited(1, b"") * PARTS)),
    "exponential points": (Signal.METRICS, inside(1, 2, 2, 10, content=delimited(1, b"") * PARTS)),
    "summary points": (Signal.METRICS, inside(1, 2, 2, 11, content=delimited(1, b"") * PARTS)),
    "quantiles": (Signal.METRICS, inside(1, 2, 2, 11, 1, content=delimited(6, b"") * PARTS)),
    "exemplars": (Signal.METRICS, inside(1, 2, 2, 5, 1, content=delimited(5, b"") * PARTS)),
    "packed": (Signal.METRICS, inside(1, 2, 2, 10, 1, 8, 2, content=b"\1" * PARTS * 8)),
    "not packed": (Signal.METRICS, inside(1, 2, 2, 10, 1, 8, content=b"\x10\1" * PARTS * 4)),
}


def peak_growth_bytes(work: Any) -> int:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    kept = work()
    grown = _status("VmHWM") - before
    del kept
    return grown


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's peak memory counter")
@pytest.mark.parametrize("name", WASTEFUL)
def test_it_is_not_below_what_protobuf_takes(name: str) -> None:
    signal, body = WASTEFUL[name]
    grown = peak_growth_bytes(lambda: REQUESTS[signal].FromString(body))
    needed_bytes = memory_needed(signal, body)
    assert grown < needed_bytes + 2 * MIB  # the allocator's own


@pytest.mark.parametrize("name", WASTEFUL)
def test_wasteful_requests_are_refused_before_they_are_parsed(name: str) -> None:
    signal, body = WASTEFUL[name]
    unclean = b"\x78\1" + body  # an unknown field
    gate = TimeGate(retention_ns=10**15)
    limit_bytes = 10 * len(body)
    needed_bytes = memory_needed(signal, unclean)
    assert needed_bytes > limit_bytes
    with pytest.raises(TooLargeError, match="too many parts to be repaired; send smaller batches"):
        check(signal, unclean, gate=gate, now_ns=10**18, memory_bytes=limit_bytes)


def test_ordinary_requests_are_estimated_at_a_few_times_their_size() -> None:
    request = REQUESTS[Signal.TRACES]()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(1000):
        span = spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="GET /v1/designs/{id}")
        for index in range(15):
            span.attributes.add(key=f"http.attribute.{index}").value.string_value = f"a value of {number:06}"
    body = request.SerializeToString()
    assert memory_needed(Signal.TRACES, body) < 8 * len(body)
    assert check(Signal.TRACES, body, gate=TimeGate(10**15), now_ns=10**18, memory_bytes=8 * len(body))


def test_behind_a_group_the_worst_is_assumed() -> None:
    spans = WASTEFUL["spans"][1]
    grouped = b"\x7b\x0a\x7f\x7c" + spans  # field 15 as a group; what is in it looks cut off
    assert memory_needed(Signal.TRACES, grouped) >= memory_needed(Signal.TRACES, spans)


@given(st.binary(max_size=60), st.sampled_from(Signal))
def test_any_bytes_can_be_weighed(body: bytes, signal: Signal) -> None:
    assert memory_needed(signal, body) >= 3 * len(body)


@pytest.mark.parametrize("rest", [b"\xff", b"\x80" * 9, b"\x80" * 10, b"\x0a\x80", b"\x09\1", b"\x0a\5\1"])
def test_what_is_cut_off_ends_it(rest: bytes) -> None:
    assert memory_needed(Signal.TRACES, rest) == 3 * len(rest)
    behind = inside(1, 2, 2, content=delimited(9, b"") * 10)
    assert memory_needed(Signal.TRACES, behind + rest) > memory_needed(Signal.TRACES, behind)


@pytest.mark.parametrize("levels", [50, 150])
def test_depth_is_followed_as_far_as_protobuf_goes(levels: int) -> None:
    value = b""
    for _ in range(levels):
        value = delimited(5, delimited(1, value))  # a list in a list
    body = inside(1, 1, 1, 2, content=value)
    assert memory_needed(Signal.TRACES, body) > 3 * len(body)
