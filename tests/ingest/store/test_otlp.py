"""Batches into the store: once, whole, and under the tenant that the door decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from collector.check.check import TimeGate, check
from ingest.signals import Signal
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreDamagedError, StoreError, StoreRefusedError, StoreUnavailableError
from ingest.store.otlp import OtlpWriter, Request

NOW_NS = time.time_ns()
TARGETS = (
    "otel_traces",
    "activity_1s",
    "red_1m",
    "telemetry_volume_1h",
    "otel_traces_trace_id_ts",
)


def varint(value: int) -> bytes:
    low = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
    return low + (varint(value >> 7) if value > 0x7F else b"")


def counts(session: Session, tenant: str) -> dict[str, int]:
    count = "SELECT count() FROM {table:Identifier} WHERE tenant = {tenant:String}"
    return {table: session.value(count, {"table": table, "tenant": tenant}) for table in TARGETS}


@pytest.mark.parametrize("is_embedded", [True, False])
@pytest.mark.parametrize(
    ("error", "is_damage"),
    [
        (StoreRefusedError("filesystem error: in rename: No space left on device", 1001), True),
        (StoreRefusedError("std::out_of_range", 1001), False),
        (StoreUnavailableError("no room", 243), False),
    ],
)
def test_a_part_that_gets_no_name(error: StoreError, *, is_damage: bool, is_embedded: bool) -> None:
    """The engine has noted the token by then."""

    def insert_raw(*_: object, **__: object) -> None:
        raise error

    session = SimpleNamespace(insert_raw=insert_raw)
    writer = OtlpWriter(cast("Engine", SimpleNamespace(is_embedded=is_embedded, session=lambda: session)))
    with pytest.raises(StoreError) as caught:
        writer.insert(Signal.LOGS, 1, "token", [])

    assert isinstance(caught.value, StoreDamagedError) is (is_damage and is_embedded)


def test_the_same_batch_again_changes_nothing(
    migrated: Engine, session: Session, tenant: str, made: Any, traces: Any
) -> None:
    body = traces(
        [made(NOW_NS, NOW_NS + 1_000, span_id=bytes([n] * 8), parent=b"\3" * 8) for n in range(1, 9)]
    )
    requests = [Request(tenant, NOW_NS, body), Request(tenant, NOW_NS, body)]
    writer = OtlpWriter(migrated)
    writer.insert(Signal.TRACES, 77, f"token of {tenant}", requests)
    before = counts(session, tenant)

    for _ in range(3):
        writer.insert(Signal.TRACES, 77, f"token of {tenant}", requests)
    writer.close()

    assert before["otel_traces"] == 16
    assert min(before.values()) > 0
    assert counts(session, tenant) == before
    assert session.rows(
        "SELECT sum(spans) FROM red_1m WHERE tenant = {tenant:String}", {"tenant": tenant}
    ) == [(16,)]


def test_the_same_bytes_in_another_batch_are_other_data(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any
) -> None:
    body = traces([made(NOW_NS, NOW_NS + 1_000)])
    insert(Signal.TRACES, body, tenant=tenant)
    insert(Signal.TRACES, body, tenant=tenant)

    assert counts(session, tenant)["otel_traces"] == 2


def test_a_sender_cannot_choose_its_tenant_or_batch(
    migrated: Engine, session: Session, tenant: str, made: Any, traces: Any
) -> None:
    """Fields under our numbers are unknown to OTLP, and what is unknown does not pass the door."""
    forged = varint(536_870_001 << 3) + b"\x63" + varint(536_870_002 << 3 | 2) + b"\x06stolen"
    sent = forged + traces([made(NOW_NS, NOW_NS + 1_000)]) + forged
    body = check(Signal.TRACES, sent, gate=TimeGate(10**15, 10**12), now_ns=NOW_NS).body
    writer = OtlpWriter(migrated)
    writer.insert(Signal.TRACES, 78, f"token of {tenant}", [Request(tenant, NOW_NS, body)])
    writer.close()

    assert session.rows(
        "SELECT tenant, _batch FROM otel_traces WHERE tenant IN ('stolen', {tenant:String})",
        {"tenant": tenant},
    ) == [(tenant, 78)]


def test_requests_without_anything_in_them_are_fine(
    session: Session, insert: Callable[..., None], tenant: str, traces: Any
) -> None:
    insert(Signal.TRACES, b"", traces([]), tenant=tenant)

    assert counts(session, tenant)["otel_traces"] == 0


def test_bytes_that_are_no_request_are_refused_for_good(migrated: Engine) -> None:
    writer = OtlpWriter(migrated)
    with pytest.raises(StoreRefusedError):
        writer.insert(
            Signal.TRACES, 79, "token of nonsense", [Request("default", NOW_NS, b"\x0a\xff\xff\xff")]
        )
    writer.close()


@pytest.mark.embedded("about files of the engine in its process")
def test_it_works_where_nothing_can_be_written(
    session: Session, insert: Callable[..., None], tenant: str, made: Any, traces: Any,
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The engine caches schemas given as text in the working directory; ours are files."""
    tmp_path.chmod(0o555)
    monkeypatch.chdir(tmp_path)

    insert(Signal.TRACES, traces([made(NOW_NS, NOW_NS + 1)]), tenant=tenant)

    assert counts(session, tenant)["otel_traces"] == 1
    assert list(tmp_path.iterdir()) == []
