"""What inserting a batch takes of memory, against what `ingest.unfolded` expects: batches of ordinary
requests, and of the most wasteful there are.

    python -m bench.memory SHAPE     one of them, in this process; prints JSON

Each is measured in a process of its own, since an engine keeps what it has once taken.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Any

from bench.requests import LOADS
from bench.variants import KINDS, variants
from ingest.signals import Signal
from ingest.store.engine import Engine
from ingest.store.known_series import NOTHING, KnownSeries
from ingest.store.migrate import migrate
from ingest.store.otlp import OtlpWriter, Request
from ingest.store.settings import StoreSettings
from ingest.store.target import parse_target
from ingest.unfolded import unfolded_bytes

BATCH_BYTES = 384 * 1024 * 1024
"""Estimated."""
_LOOK_S = 0.003
_NOW = b"\x39" + (1_900_000_000 * 10**9).to_bytes(8, "little")
_IDS = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def _inside(*numbers: int, content: bytes) -> bytes:
    for number in reversed(numbers):
        content = _field(number, content)
    return content


def _attribute(value: bytes = b"", key: bytes = b"a") -> bytes:
    return _field(1, key) + (_field(2, value) if value else b"")


def _spans(each: bytes = b"", resource: bytes = b"", scope: bytes = b"") -> bytes:
    scoped = _field(1, scope) + _field(2, _IDS + _NOW + each) * 500
    return _field(1, _field(1, resource) + _field(2, scoped))


def _requests_of(request: int, resource: bytes) -> bytes:
    """Spans of which each is counted in rows of its own: served in its own second, under its own name."""
    spans = b""
    for number in range(request * 500, request * 500 + 500):
        moment = ((1_900_000_000 + number) * 10**9).to_bytes(8, "little")
        name = _field(5, b"GET /%d" % number)
        spans += _field(2, _IDS + name + b"\x30\x02\x39" + moment + b"\x41" + moment)
    return _field(1, _field(1, resource) + _field(2, spans))


def _series_of(request: int, resource: bytes) -> bytes:
    """Points of which each is the first of its series."""
    points = b"".join(
        _field(1, _field(7, _attribute(_field(1, b"%d" % number))) + b"\x19" + _NOW[1:])
        for number in range(request * 1000, request * 1000 + 1000)
    )
    return _field(1, _field(1, resource) + _inside(2, 2, content=_field(1, b"m") + _field(5, points)))


def _points(kind: int, each: bytes = b"", resource: bytes = b"") -> bytes:
    scoped = _inside(2, 2, kind, content=_field(1, each) * 1000)
    return _field(1, _field(1, resource) + scoped)


_LONG = [_attribute(_field(1, b"v" * 50), b"k%d" % number) for number in range(100)]


_SENDER = [
    _attribute(_field(1, b"n" * 40), key)
    for key in (
        b"k8s.cluster.name", b"deployment.environment.name", b"k8s.namespace.name", b"k8s.deployment.name",
        b"service.namespace", b"service.name", b"service.version", b"k8s.node.name", b"k8s.pod.name",
        b"k8s.container.name",
    )
]  # fmt: skip
_LONG_NAME = [_attribute(_field(1, b"n" * 20_000), key) for key in (b"service.name", b"service.namespace")]


def _held(number: int, attributes: list[bytes]) -> bytes:
    return b"".join(_field(number, attribute) for attribute in attributes)


_ACCESS = (
    b'[2030-03-17T17:46:40.000Z] "GET /reviews/%07d HTTP/1.1" 200 - via_upstream - "-" 0 379 24 23 "-"'
    b' "Mozilla/5.0 (X11; Linux x86_64)" "84961386-6d84-929d-98bd-c5aee93b5c88" "reviews:9080"'
    b' "10.44.1.27:9080" outbound|9080||reviews.shop.svc.cluster.local 10.44.1.23:37652 10.0.45.184:9080'
    b" 10.44.1.23:46520 - default"
)
_ACCESS_JSON = (
    b'{"start_time":"2030-03-17T17:46:40.000Z","method":"GET","path":"/reviews/%07d","protocol":"HTTP/1.1",'
    b'"response_code":200,"response_flags":"-","bytes_received":0,"bytes_sent":379,"duration":24,'
    b'"upstream_service_time":"23","user_agent":"Mozilla/5.0 (X11; Linux x86_64)","authority":"reviews:9080",'
    b'"upstream_cluster":"outbound|9080||reviews.shop.svc.cluster.local","upstream_host":"10.44.1.27:9080"}'
)


def _lines(line: bytes) -> bytes:
    """Records of a proxy's container, each of them a line."""
    records = b"".join(
        _field(2, b"\x09" + _NOW[1:] + _field(5, _field(1, line % number))) for number in range(1000)
    )
    return _field(1, _field(1, _held(1, _SENDER)) + _field(2, records))


SHAPES: dict[str, tuple[Signal, Callable[[int], bytes]]] = {
    "spans, a resource of 100 attributes": (Signal.TRACES, lambda _: _spans(resource=_held(1, _LONG))),
    "spans, a scope of 100 attributes": (
        Signal.TRACES,
        lambda _: _spans(scope=_held(3, _LONG)),
    ),
    "spans, a resource of 100 kB": (
        Signal.TRACES,
        lambda _: _spans(resource=_field(1, _attribute(_field(1, b"v" * 100_000)))),
    ),
    "requests, a row of every rollup each": (Signal.TRACES, lambda n: _requests_of(n, _held(1, _SENDER))),
    "requests, a long service name": (
        Signal.TRACES,
        lambda n: _requests_of(n, _held(1, _LONG_NAME)),
    ),
    "new series, a resource of 100 attributes": (Signal.METRICS, lambda n: _series_of(n, _held(1, _LONG))),
    "new series, a long service name": (
        Signal.METRICS,
        lambda n: _series_of(n, _held(1, _LONG_NAME)),
    ),
    "spans of 100 empty attributes": (Signal.TRACES, lambda _: _spans(_field(9, _attribute()) * 100)),
    "spans of 100 doubles": (
        Signal.TRACES,
        lambda _: _spans(_field(9, _attribute(b"\x21" + b"d" * 8)) * 100),
    ),
    "spans of 100 lists": (
        Signal.TRACES,
        lambda _: _spans(_field(9, _attribute(_field(5, _field(1, b"") * 20))) * 100),
    ),
    "spans of 100 events": (Signal.TRACES, lambda _: _spans(_field(11, b"") * 100)),
    "spans of 100 links": (Signal.TRACES, lambda _: _spans(_field(13, b"") * 100)),
    "spans of events with attributes": (
        Signal.TRACES,
        lambda _: _spans(_field(11, _field(3, _attribute()) * 5) * 20),
    ),
    "empty log records": (Signal.LOGS, lambda _: _field(1, _field(2, _field(2, b"") * 1000))),
    "log records of 1 kB": (
        Signal.LOGS,
        lambda _: _field(1, _field(2, _field(2, _field(5, _field(1, b"x" * 1000))) * 1000)),
    ),
    "lines of an access log": (Signal.LOGS, lambda _: _lines(_ACCESS)),
    "lines of an access log, JSON": (Signal.LOGS, lambda _: _lines(_ACCESS_JSON)),
    "lines that are none": (Signal.LOGS, lambda _: _lines(_ACCESS.replace(b"[", b"(", 1))),
    "empty resources": (Signal.LOGS, lambda _: _field(1, b"") * 5000),
    "empty scopes": (Signal.LOGS, lambda _: _inside(1, content=_field(2, b"") * 5000)),
    "empty metrics": (Signal.METRICS, lambda _: _inside(1, 2, content=_field(2, b"") * 1000)),
    "empty points": (Signal.METRICS, lambda _: _points(5)),
    "points, a resource of 100 attributes": (Signal.METRICS, lambda _: _points(5, resource=_held(1, _LONG))),
    "points of 50 exemplars": (Signal.METRICS, lambda _: _points(5, _field(5, b"") * 50)),
    "histograms of 10,000 buckets": (
        Signal.METRICS,
        lambda _: _inside(1, 2, 2, 9, 1, 6, content=bytes(80_000)),
    ),
    "exponential histograms of 20,000 buckets": (
        Signal.METRICS,
        lambda _: _inside(1, 2, 2, 10, 1, 8, 2, content=b"\1" * 20_000),
    ),
    "summaries of 20,000 quantiles": (
        Signal.METRICS,
        lambda _: _inside(1, 2, 2, 11, 1, content=_field(6, b"") * 20_000),
    ),
}


def measure(_seconds: float) -> dict[str, Any]:
    """Every shape, and the ordinary loads."""
    loads = {}
    for name in [load.name for load in LOADS] + list(SHAPES) + list(KNOWN):
        done = subprocess.run(
            [sys.executable, "-m", "bench.memory", name], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {done.stderr}")
        loads[name] = json.loads(done.stdout.splitlines()[-1])
    return {
        "what": "memory of inserting one batch, of what was expected",
        "settings": "defaults",
        "loads": loads,
    }


KNOWN: dict[str, Callable[[], Iterator[bytes]]] = {
    "points of known series": lambda: cycle(variants(_POINTS, 400, 1.0)),
    "points of one known series": lambda: cycle([_points(5, b"\x19" + _NOW[1:] + b"\x21" + bytes(8))]),
}
"""Metrics whose first requests, `KINDS` of them, make the series of all others known."""
_POINTS = next(load for load in LOADS if load.name == "points")


def _requests(name: str) -> tuple[Signal, Iterator[bytes]]:
    if name in KNOWN:
        return Signal.METRICS, KNOWN[name]()
    for load in LOADS:
        if load.name == name:
            return load.signal, cycle(variants(load, 400, 1.0))
    signal, make = SHAPES[name]
    return signal, map(make, count())


def _one(name: str) -> dict[str, Any]:
    signal, kinds = _requests(name)
    first = [next(kinds) for _ in range(KINDS if name in KNOWN else 1)]
    requests: list[Request] = []
    expected = 0
    with tempfile.TemporaryDirectory(prefix="lowtide-bench-") as folder:
        target = parse_target("embedded", Path(folder) / "store")
        with closing(Engine(target, lambda session: migrate(session, StoreSettings()))) as engine:
            engine.reach()
            engine.session().execute("SYSTEM STOP MERGES")
            writer = OtlpWriter(engine, known=KnownSeries())
            writer.insert(signal, 1, "first", [Request("default", 1, body) for body in first])
            while expected < BATCH_BYTES:
                body = next(kinds)
                looked = writer.look(signal, "default", body)
                requests.append(Request("default", 1, body, looked))
                expected += unfolded_bytes(signal, body, (looked or NOTHING).known)
            with _peak() as peak:
                writer.insert(signal, 2, "second", requests)
            writer.close()
    taken = peak[1] - peak[0]
    return {
        "body_mib": round(sum(len(request.body) for request in requests) / 2**20, 1),
        "expected_mib": round(expected / 2**20),
        "taken_mib": round(taken / 2**20),
        "of_expected": round(taken / expected, 2),
    }


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Resident memory before, and the most of it during the block."""
    seen = [_resident_bytes(), 0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            seen[1] = max(seen[1], _resident_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


if __name__ == "__main__":
    print(json.dumps(_one(sys.argv[1])))
