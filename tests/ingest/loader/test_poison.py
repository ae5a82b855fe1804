"""What the store cannot read is parted from the rest and put into quarantine; all else is stored, once."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from ingest.loader.loader import Loader
from ingest.loader.pieces import items_in, pieces_of
from ingest.loader.pipe import Pipe
from ingest.loader.settings import LoaderSettings
from ingest.loader.telemetry import LoaderMetrics
from ingest.signals import Signal
from ingest.spool.quarantine import held_in, requeue
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreRefusedError
from support import faults

NOW_NS = 1_790_000_000_000_000_000
BAD = b"bad"


def request(*names: bytes) -> bytes:
    """A trace request of one resource per name, with two spans each."""
    made = ExportTraceServiceRequest()
    for name in names:
        entry = made.resource_spans.add(schema_url=name.decode())
        for _ in range(2):
            entry.scope_spans.add().spans.add()
    return made.SerializeToString()


def held(spool_directory: Path) -> list[Any]:
    return list(held_in(spool_directory / "quarantine"))


def names_in(bodies: list[bytes]) -> list[str]:
    return sorted(
        entry.schema_url
        for body in bodies
        for entry in ExportTraceServiceRequest.FromString(body).resource_spans
    )


def stored_in(writer: Any) -> list[str]:
    return names_in([body for bodies in writer.stored.values() for body in bodies])


BODIES = [
    request(b"a1", b"a2"),
    request(b"b1", BAD + b"1", b"b2", b"b3"),
    request(b"c1"),
    request(BAD + b"2"),
    request(b"d1", BAD + b"3", BAD + b"4"),
    request(b"e1"),
]
GOOD = ["a1", "a2", "b1", "b2", "b3", "c1", "d1", "e1"]
POISON = ["bad1", "bad2", "bad3", "bad4"]


def test_only_the_resources_at_fault_are_held(
    spool: Spool, writer: Any, load: Callable[..., Pipe], tmp_path: Path
) -> None:
    writer.poison = [BAD]
    for body in BODIES:
        items = 2 * len(pieces_of(body))
        spool.append(Signal.TRACES, "acme", body, items=items, received_ns=7).result()

    pipe = load(spool, writer)

    assert stored_in(writer) == GOOD
    found = held(tmp_path / "spool")
    assert names_in([path.read_bytes().partition(b"\n")[2] for path in paths(tmp_path)]) == POISON
    assert {(each.tenant, each.received_ns, each.items, each.signal) for each in found} == {
        ("acme", 7, 2, Signal.TRACES)
    }
    assert all("this is no request" in each.reason for each in found)
    status = pipe.status
    assert (status.inserted_items, status.quarantined_items) == (2 * len(GOOD), 2 * len(POISON))
    assert status.inserted_requests + status.quarantined_requests == len(BODIES)
    assert (status.error, status.failed) == ("", "")
    assert spool.unfinished_batches() == []
    assert spool.status().held[0] == 4


def paths(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool" / "quarantine").iterdir())


def test_what_is_no_request_at_all_is_held_as_it_is(
    spool: Spool, writer: Any, load: Any, fill: Any, tmp_path: Path
) -> None:
    writer.poison = [BAD]
    fill(spool, [b"\xff\xffbad\xff", request(b"a1")])

    load(spool, writer)

    assert stored_in(writer) == ["a1"]
    (path,) = paths(tmp_path)
    assert path.read_bytes().endswith(b"\n\xff\xffbad\xff")


def test_a_batch_of_which_the_store_has_rows_is_never_divided(spool: Spool, writer: Any, fill: Any) -> None:
    fill(spool, BODIES)
    writer.poison, writer.held = [BAD], True
    halt = threading.Event()
    pipe = Pipe(
        Signal.TRACES, spool, writer, LoaderSettings(interval_ms=0, retry_max_s=0.01),
        LoaderMetrics(CollectorRegistry()), threading.Event(), halt,
    )  # fmt: skip
    thread = threading.Thread(target=pipe.run)
    thread.start()
    while len(writer.attempts) < 5:
        assert thread.is_alive()
    assert pipe.held_up_s() > 0
    assert "no request" in pipe.status.error
    halt.set()
    thread.join(30)

    assert len({(batch, token) for batch, token, _ in writer.attempts}) == 1
    assert spool.status().held == (0, 0)


def test_any_other_refusal_is_repeated_unchanged(spool: Spool, writer: Any, load: Any, fill: Any) -> None:
    fill(spool, BODIES[:1])
    writer.errors = [StoreRefusedError("an expression failed", 407)] * 3

    load(spool, writer)

    assert len(writer.attempts) == 4
    assert len(set(writer.attempts)) == 1


class DeathError(BaseException):
    """The process ends here."""


class Mortal:
    """Anything, of which some calls end the process before or after they have had their effect."""

    def __init__(self, real: Any, names: tuple[str, ...], steps: list[int]) -> None:
        self._real, self._names, self._steps = real, names, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self._names:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._step()
            done = found(*args, **kwargs)
            self._step()
            return done

        return call

    def _step(self) -> None:
        self._steps[0] -= 1
        if self._steps[0] == 0:
            raise DeathError


STEPS = ("begin_batch", "split_batch", "split_record", "hold", "finish_batch")


@pytest.mark.parametrize("dies_after", range(1, 60, 1 if faults.LONG else 3))
def test_whatever_it_dies_after(tmp_path: Path, writer: Any, load: Any, fill: Any, dies_after: int) -> None:
    """A death at any step of the division: everything is stored or held once, under tokens as planned."""
    steps, settings = [dies_after], SpoolSettings(group_commit_ms=0)
    writer.poison = [BAD]
    with Spool.open(tmp_path / "spool", settings) as spool:
        fill(spool, BODIES)
        with pytest.raises(DeathError):
            load(Mortal(spool, STEPS, steps), Mortal(writer, ("insert",), steps))
    with Spool.open(tmp_path / "spool", settings) as spool:
        load(spool, writer)

    assert stored_in(writer) == GOOD
    bodies = [path.read_bytes().partition(b"\n")[2] for path in paths(tmp_path)]
    assert names_in(bodies) == POISON


def test_a_full_quarantine_holds_the_batch_until_there_is_room(
    tmp_path: Path, writer: Any, fill: Any, load: Any
) -> None:
    writer.poison = [BAD]
    with Spool.open(tmp_path / "spool", SpoolSettings(group_commit_ms=0, quarantine_bytes=100)) as spool:
        fill(spool, [request(BAD), request(b"a1")])
        halt = threading.Event()
        pipe = Pipe(
            Signal.TRACES, spool, writer, LoaderSettings(interval_ms=0, retry_max_s=0.01),
            LoaderMetrics(CollectorRegistry()), threading.Event(), halt,
        )  # fmt: skip
        thread = threading.Thread(target=pipe.run)
        thread.start()
        while "quarantine" not in pipe.status.error:
            assert thread.is_alive()
        halt.set()
        thread.join(30)
        assert held(tmp_path / "spool") == []
    with Spool.open(tmp_path / "spool", SpoolSettings(group_commit_ms=0)) as spool:
        load(spool, writer)
    assert stored_in(writer) == ["a1"]
    assert len(held(tmp_path / "spool")) == 1


def test_what_is_requeued_is_tried_again_and_once(
    tmp_path: Path, writer: Any, fill: Any, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SpoolSettings(group_commit_ms=0)
    writer.poison = [BAD]
    with Spool.open(tmp_path / "spool", settings) as spool:
        fill(spool, [request(BAD + b"1"), request(BAD + b"2")])
        load(spool, writer)
        first, second = held(tmp_path / "spool")
        requeue(tmp_path / "spool" / "quarantine", first.name)
        assert [each.requeued for each in held(tmp_path / "spool")] == [True, False]
        # A death after it was appended and before the file was removed.
        with monkeypatch.context() as patch:
            patch.setattr(spool._quarantine, "forget", lambda name: None)
            assert spool.take_back() == 1
    with Spool.open(tmp_path / "spool", settings) as spool:
        assert spool.take_back() == 1
        assert spool.take_back() == 0
        writer.poison = []
        load(spool, writer)
    assert stored_in(writer) == ["bad1"]
    assert [each.name for each in held(tmp_path / "spool")] == [second.name]


@pytest.mark.parametrize("content", [b"", b"{}\nbody", b"no json\nbody", b'{"signal": "traces"', b"[]\n"])
def test_a_file_that_nobody_understands_stays(spool: Spool, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "spool" / "quarantine"
    folder.mkdir()
    (folder / "traces-1.requeue").write_bytes(content)
    (folder / "notes.txt").write_text("mine")
    assert spool.take_back() == 0
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "traces-1.requeue"]


def test_the_real_store_cannot_read_and_the_rest_is_stored(
    tmp_path: Path, migrated: Engine, session: Session, tenant: str, traces: Any, made: Any
) -> None:
    good = [
        traces([made(NOW_NS, NOW_NS + 5, span_id=bytes([n, m]) * 4) for m in range(1, 4)])
        for n in range(1, 12)
    ]
    bad = [good[0][:-2], b"\xff\xff\xff\xff", b"\x0f\x01", _span(b"\x30\x80\x80\x80\x80\x80\x01")]
    order = good[:3] + bad[:2] + good[3:9] + bad[2:] + good[9:]
    with Spool.open(tmp_path / "spool", SpoolSettings()) as spool:
        for body in order:
            spool.append(Signal.TRACES, tenant, body, items=3, received_ns=NOW_NS).result()
        loader = Loader(spool, migrated, LoaderSettings(), registry=CollectorRegistry())
        loader.start()
        assert loader.stop(60)
        status = loader.status()[Signal.TRACES]

    counts = session.rows(
        "SELECT count(), uniqExact(SpanId) FROM otel_traces WHERE tenant = {tenant:String}",
        {"tenant": tenant},
    )
    assert counts == [(33, 33)]
    volume = "SELECT sum(rows) FROM telemetry_volume_1h WHERE tenant = {tenant:String}"
    assert session.value(volume, {"tenant": tenant}) == 33
    assert (status.inserted_requests, status.quarantined_requests) == (11, 4)
    assert sorted(path.read_bytes().partition(b"\n")[2] for path in paths(tmp_path)) == sorted(bad)
    assert all("Protobuf" in each.reason or "kind" in each.reason for each in held(tmp_path / "spool"))


def _span(fields: bytes) -> bytes:
    for _ in range(3):
        tag = b"\x0a" if _ == 2 else b"\x12"
        fields = tag + bytes([len(fields)]) + fields
    return fields


def test_the_store_says_whether_it_has_rows_of_a_batch(
    migrated: Engine, insert: Callable[..., Any], traces: Any, made: Any
) -> None:
    from ingest.store.otlp import OtlpWriter, Request

    writer = OtlpWriter(migrated)
    body = traces([made(NOW_NS, NOW_NS + 1)])
    writer.insert(Signal.TRACES, 4_242_424_242, "a token", [Request("default", NOW_NS, body)])
    assert writer.holds(Signal.TRACES, 4_242_424_242)
    assert not writer.holds(Signal.TRACES, 4_242_424_243)
    assert not writer.holds(Signal.METRICS, 4_242_424_242)
    writer.close()


@given(st.binary(max_size=60))
def test_pieces_are_the_whole(body: bytes) -> None:
    assert b"".join(pieces_of(body)) == body
    for signal in Signal:
        assert items_in(signal, body) >= 0


def test_pieces_of_real_requests() -> None:
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    for number in range(3):
        logs.resource_logs.add(schema_url="s").scope_logs.add().log_records.add(flags=number)
        found = metrics.resource_metrics.add().scope_metrics.add().metrics
        found.add(name="g").gauge.data_points.add(time_unix_nano=1)
        found.add(name="h").exponential_histogram.data_points.add(count=number)
        found.add(name="s", unit="1").summary.data_points.add().quantile_values.add(value=1)
        found.add(name="nothing")
    for signal, request, each in ((Signal.LOGS, logs, 1), (Signal.METRICS, metrics, 3)):
        body = request.SerializeToString()
        assert items_in(signal, body) == 3 * each
        assert [items_in(signal, piece) for piece in pieces_of(body)] == [each] * 3
        assert b"".join(pieces_of(body)) == body


def test_a_disk_that_fails_under_the_quarantine_stops_the_spool(
    spool: Spool, writer: Any, load: Any, fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(spool, [request(BAD)])
    writer.poison = [BAD]

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr("ingest.spool.quarantine.put_in_place", fail)
    pipe = load(spool, writer)
    assert "quarantine" in pipe.status.failed
    assert "quarantine" in spool.failed
