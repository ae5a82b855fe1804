"""The compiled walk against bytes nobody meant: it agrees with protobuf, and never leaves the buffer."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.check import walk
from ingest.signals import Signal
from support import faults

# `make faults` tries so many of each; together with those of JSON and of the views more than 100,000.
fuzzed = settings(max_examples=faults.times(100, 20_000))
long_if_so_asked = pytest.mark.timeout(faults.times(120, 6000))


def _understood(otlp: Any, signal: Signal, body: bytes) -> Any:
    try:
        return otlp.requests[signal].FromString(body)
    except DecodeError:
        return None


def _agrees(otlp: Any, signal: Signal, body: bytes) -> None:
    """Clean means that protobuf reads all of it and would write as much."""
    faults.done["bodies of protobuf"] += 1
    items, flags = otlp.walk(signal, body)
    request = _understood(otlp, signal, body)
    if request is None:
        assert flags, "protobuf refuses what the walk calls clean"
        return
    if flags & (walk.ODD | walk.MALFORMED | walk.BAD_UTF8 | walk.TOO_DEEP):
        return
    assert items == otlp.count(signal, request)
    known = otlp.requests[signal].FromString(body)
    known.DiscardUnknownFields()
    assert known.SerializeToString() == request.SerializeToString(), "unknown fields called clean"
    # protobuf does not write a reference of 0 to the string table again
    assert otlp.walk(signal, request.SerializeToString()) in {
        (items, flags),
        (items, flags & ~walk.STRING_INDEX),
    }


@long_if_so_asked
@fuzzed
@given(signal=st.sampled_from(Signal), body=st.binary(max_size=200))
def test_any_bytes(otlp: Any, signal: Signal, body: bytes) -> None:
    _agrees(otlp, signal, body)


@long_if_so_asked
@fuzzed
@given(signal=st.sampled_from(Signal), body=st.binary(max_size=60), kind=st.integers(0, 11))
def test_any_bytes_in_a_record(otlp: Any, signal: Signal, body: bytes, kind: int) -> None:
    content = otlp.field(kind, otlp.field(1, body)) if signal is Signal.METRICS else body
    _agrees(otlp, signal, otlp.in_record(content))


@long_if_so_asked
@fuzzed
@given(data=st.data(), signal=st.sampled_from(Signal))
def test_damaged_requests(otlp: Any, data: st.DataObject, signal: Signal) -> None:
    body = bytearray(otlp.rich(signal).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["set", "insert", "delete", "copy"])):
            case "set":
                body[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=12))
            case "delete":
                del body[at : at + data.draw(st.integers(1, 12))]
            case _:
                size = data.draw(st.integers(1, 40))
                other = data.draw(st.integers(0, len(body)))
                body[at:at] = body[other : other + size]
    _agrees(otlp, signal, bytes(body))


@pytest.mark.parametrize("signal", Signal)
def test_truncated_requests(otlp: Any, signal: Signal) -> None:
    body = otlp.rich(signal).SerializeToString()
    for size in range(len(body)):
        _agrees(otlp, signal, body[:size])


@pytest.mark.parametrize("signal", Signal)
def test_one_bit_flipped(otlp: Any, signal: Signal) -> None:
    body = otlp.rich(signal).SerializeToString()
    for bit in range(0, len(body) * 8, 3):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        _agrees(otlp, signal, bytes(flipped))


# Runs the walk on buffers that end, or begin, exactly where the memory of the process may not be read: a
# read outside kills the process.
_GUARDED = """
import ctypes, mmap, random, sys
import numpy as np
from numba import njit
from collector.check import walk
from collector.check.scrub import table_of
from collector.check.tables import TABLES
from ingest.signals import Signal

page = mmap.PAGESIZE
room = 4 * page
memory = mmap.mmap(-1, room + 2 * page)
base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
assert protect(base, page, 0) == 0 and protect(base + page + room, page, 0) == 0
inside = np.ctypeslib.as_array((ctypes.c_uint8 * room).from_address(base + page))
inside.flags.writeable = True
signature = walk.SIGNATURE.replace("Bytes(uint8, 1, 'C')", "uint8[::1]")
walked = njit(signature, nogil=True)(walk.walk)

names = table_of(["ab", "*.cookie", "http.*", "x" * 60])

def run(signal, body, *, at_end):
    view = inside[room - len(body):] if at_end else inside[:len(body)]
    view[:] = np.frombuffer(body, np.uint8)
    walked(view, TABLES.roots[signal], TABLES.fields, TABLES.roles, names, 0, (1 << 64) - 1)

if sys.argv[1] == "outside":
    ctypes.string_at(base + page + room, 1)
dice = random.Random(int(sys.argv[1]))
bodies = {signal: bytes.fromhex(line) for signal, line in zip(Signal, sys.stdin)}
for signal, body in bodies.items():
    for size in range(len(body) + 1):
        for at_end in (True, False):
            run(signal, body[:size], at_end=at_end)
            run(signal, body[size:], at_end=at_end)
    for _ in range(20_000):
        damaged = bytearray(body[: dice.randrange(len(body) + 1)])
        for _ in range(dice.randrange(4)):
            if damaged:
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        run(signal, bytes(damaged), at_end=dice.random() < 0.7)
        noise = dice.randbytes(dice.randrange(24))
        run(signal, noise, at_end=dice.random() < 0.7)
        run(signal, bytes([10, 127, 18, 127, 18, 127]) + noise, at_end=True)
print("stayed inside")
"""


def _guarded(otlp: Any, seed: str) -> subprocess.CompletedProcess[str]:
    bodies = "\n".join(otlp.rich(signal).SerializeToString().hex() for signal in Signal)
    return subprocess.run(
        [sys.executable, "-c", _GUARDED, seed], input=bodies, capture_output=True, text=True, check=False
    )


def test_nothing_outside_the_buffer_is_read(otlp: Any) -> None:
    result = _guarded(otlp, "20261014")
    assert (result.returncode, result.stdout) == (0, "stayed inside\n"), result.stderr


def test_the_guard_of_the_test_above_would_notice(otlp: Any) -> None:
    assert _guarded(otlp, "outside").returncode < 0
