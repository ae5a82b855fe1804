"""Fuzzing led by coverage (atheris): bodies that reach new lines of what reads requests are kept and changed
further. A program of its own, run by tests/collector/test_guided_fuzz.py:
`python -m support.guided_fuzz WHAT [options of libFuzzer]`.

    json       OTLP/JSON to protobuf, then the check of what came out
    protobuf   the check of a request: the compiled walk (whose lines atheris cannot see) and the slow way
    gzip, deflate, zstd, lz4, snappy    decompression

Any exception that is not a refusal ends it, and leaves the body in a file. The trap: only modules that are
named here are watched; what is compiled to machine code must have been imported before, or it does not
compile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

from collector.check import check as checking
from collector.check.gate import TimeGate
from collector.check.tables import REQUESTS
from collector.errors import BadRequestError
from collector.refusals import TooLargeError
from ingest.signals import Signal

with atheris.instrument_imports(
    include=["collector.otlp_json", "collector.codecs", "collector.snappy"], enable_loader_override=False
):
    from collector import codecs, otlp_json

MEMORY_BYTES = 64 * 1024 * 1024
NOW_NS = 1_792_006_400_000_000_000
GATE = TimeGate(30 * 86_400 * 1_000_000_000)
SIGNALS = list(Signal)


def checked(signal: Signal, body: bytes) -> None:
    """What is let in is a request, with as many records as are said to be in it."""
    found = checking.check(signal, body, gate=GATE, now_ns=NOW_NS, memory_bytes=MEMORY_BYTES)
    REQUESTS[signal].FromString(found.body)
    again = checking.check(signal, found.body, gate=GATE, now_ns=NOW_NS, memory_bytes=MEMORY_BYTES)
    if (again.items, again.rejected) != (found.items, 0):
        raise AssertionError(f"{found.items} records were let in; asked again, {again.items} are")


def json(body: bytes) -> None:
    signal = SIGNALS[body[0] % 3] if body else Signal.LOGS
    checked(signal, otlp_json.request_from_json(signal, body[1:], memory_bytes=MEMORY_BYTES))


def protobuf(body: bytes) -> None:
    checked(SIGNALS[body[0] % 3] if body else Signal.LOGS, body[1:])


def inflated(name: str) -> Callable[[bytes], None]:
    def run(body: bytes) -> None:
        out = codecs.inflate(codecs.encoding_named(name), body, limit_bytes=100_000, grow=lambda _: None)
        if len(out) > 100_000:
            raise AssertionError("more than the limit came out")

    return run


def once(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A refusal is an answer."""

    def one(body: bytes) -> None:
        try:
            run(body)
        except (BadRequestError, TooLargeError):
            return

    return one


if __name__ == "__main__":
    what = sys.argv.pop(1)
    run = {"json": json, "protobuf": protobuf}.get(what) or inflated(what)
    checking.warm_up()
    atheris.Setup(sys.argv, once(run))
    atheris.Fuzz()
