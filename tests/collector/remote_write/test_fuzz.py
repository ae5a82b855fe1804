"""Remote write of bytes nobody meant: what is understood agrees with protobuf, what comes out can be stored,
and nothing is read beyond the end."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.check.check import TimeGate, check
from collector.door import Form
from collector.errors import BadRequestError
from collector.refusals import TooLargeError
from collector.remote_write.translate import translate
from ingest.signals import Signal
from support import faults
from support.remote_write import Request, Symbols, WriteRequest, meaning_of, points_of

NOW_NS = 1_790_000_000_000_000_000
FORMS = [Form.WRITE_1, Form.WRITE_2]
MESSAGES: dict[Form, Any] = {Form.WRITE_1: WriteRequest, Form.WRITE_2: Request}

fuzzed = settings(max_examples=faults.times(200, 20_000))
long_if_so_asked = pytest.mark.timeout(faults.times(120, 6000))


def rich(form: Form) -> Any:
    """A request with something of everything."""
    request = MESSAGES[form]()
    symbols = Symbols()

    def name(holder: Any, labels: dict[str, str]) -> None:
        if form is Form.WRITE_1:
            for label, value in labels.items():
                holder.labels.add(name=label, value=value)
        else:
            holder.labels_refs.extend(symbols.pairs(labels))

    own = {"__name__": "requests_total", "instance": "a:9", "job": "shop/api", "zone": "ä"}
    for number in range(3):
        series = request.timeseries.add()
        name(series, own | {"zone": f"z{number // 2}"})
        series.samples.add(value=number, timestamp=NOW_NS // 10**6)
        name(
            series.exemplars.add(value=1, timestamp=5), {"span_id": "7" * 16, "trace_id": "7" * 32, "u": "v"}
        )
    for schema in (2, -53):
        series = request.timeseries.add()
        name(series, own | {"__name__": "seconds"})
        series.histograms.add(
            count_int=6, sum=2.5, schema=schema, zero_threshold=1e-9, zero_count_int=1, timestamp=7,
            positive_spans=[{"offset": 1, "length": 2}, {"offset": 3, "length": 1}],
            positive_deltas=[2, -1, 1],
            custom_values=[0.1 * bound for bound in range(9)] if schema == -53 else [],
        )  # fmt: skip
    if form is Form.WRITE_1:
        request.metadata.add(type=1, metric_family_name="requests_total", help="Requests.", unit="1")
    else:
        for series in request.timeseries:
            series.metadata.type, series.metadata.help_ref = 1, symbols("Requests.")
        request.symbols.extend(symbols.numbers)
    return request


def agrees(form: Form, body: bytes) -> None:
    faults.done["bodies of remote write"] += 1
    try:
        found = translate(form, body, now_ns=NOW_NS, limit_bytes=1 << 24, grow=lambda size: None)
    except (BadRequestError, TooLargeError):
        found = None
    if found is not None and found.body:
        # Raises CollectorError if a repaired request is not clean.
        check(Signal.METRICS, found.body, gate=TimeGate(1 << 64, 1 << 64), now_ns=NOW_NS)
    try:
        request = MESSAGES[form].FromString(body)
    except DecodeError:
        return  # protobuf refuses a request for one text that is not UTF-8, we its series
    request.DiscardUnknownFields()
    if request.SerializeToString() != body or (form is Form.WRITE_2 and request.symbols[:1] != [""]):
        return
    if found is None:
        assert not getattr(request, "timeseries", ())
        return
    otlp = ExportMetricsServiceRequest.FromString(found.body)
    assert points_of(otlp) == meaning_of(request, NOW_NS).points


@long_if_so_asked
@fuzzed
@given(form=st.sampled_from(FORMS), body=st.binary(max_size=120))
def test_any_bytes(form: Form, body: bytes) -> None:
    agrees(form, body)


@long_if_so_asked
@fuzzed
@given(data=st.data(), form=st.sampled_from(FORMS))
def test_damaged_requests(data: st.DataObject, form: Form) -> None:
    body = bytearray(rich(form).SerializeToString())
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
    agrees(form, bytes(body))


@pytest.mark.parametrize("form", FORMS)
def test_truncated_requests(form: Form) -> None:
    body = rich(form).SerializeToString()
    agrees(form, body)
    for size in range(len(body)):
        agrees(form, body[:size])


@pytest.mark.parametrize("form", FORMS)
def test_one_bit_flipped(form: Form) -> None:
    body = rich(form).SerializeToString()
    for bit in range(0, len(body) * 8, 3):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        agrees(form, bytes(flipped))


# Runs the translation on buffers that end, or begin, exactly where the memory of the process may not be read:
# a read outside kills the process. The output lies so as well.
_GUARDED = """
import ctypes, mmap, random, sys
import numpy as np
from collector.door import Form
from collector.errors import CollectorError
from collector.remote_write import translate as module

page = mmap.PAGESIZE
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def guarded(pages):
    memory = mmap.mmap(-1, (pages + 2) * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert protect(base, page, 0) == 0 and protect(base + (pages + 1) * page, page, 0) == 0
    return np.ctypeslib.as_array((ctypes.c_uint8 * (pages * page)).from_address(base + page)), base, memory

inside, base, kept = guarded(4)
outside, _, also_kept = guarded(64)
if sys.argv[1] == "outside":
    ctypes.string_at(base + 5 * page, 1)

class Guarded:
    # numpy, but that bodies and output lie between guards
    def __getattr__(self, name):
        return getattr(np, name)
    def frombuffer(self, body, kind):
        view = inside[len(inside) - len(body):] if at_end else inside[:len(body)]
        view[:] = np.frombuffer(body, kind)
        view = view[:]
        view.flags.writeable = False
        return view
    def empty(self, size, kind):
        if kind is not np.uint8:
            return np.empty(size, kind)
        return outside[len(outside) - size:] if at_end else outside[:size]

module.np = Guarded()
dice = random.Random(int(sys.argv[1]))
tried = 0
for form, line in zip((Form.WRITE_1, Form.WRITE_2), sys.stdin):
    whole = bytes.fromhex(line)
    bodies = [whole[:size] for size in range(len(whole) + 1)]
    for _ in range(3000):
        body = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        bodies.append(bytes(body))
    for body in bodies:
        for at_end in (True, False):
            try:
                module.translate(form, body, now_ns=1, limit_bytes=len(outside), grow=lambda size: None)
                tried += 1
            except CollectorError:
                pass
print(tried)
"""


def _guarded(argument: str) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(rich(form).SerializeToString().hex() for form in FORMS) + "\n"
    command = [sys.executable, "-c", _GUARDED, argument]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)


def test_nothing_is_read_or_written_outside() -> None:
    done = _guarded("1")
    assert done.returncode == 0, f"{done.returncode} {done.stderr}"
    assert int(done.stdout) > 1000


def test_the_guard_guards() -> None:
    assert _guarded("outside").returncode < 0
