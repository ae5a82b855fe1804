"""Reads the state of the way from the door into the store: the collector's counters, the spool, the loader.

The API, the watch and quickstart read it; `lowtide.serve.parts` makes it. The trap: what waits in the
spool when it is made was accepted by an earlier process, so it is made before the collector and the loader
start.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from api.pipeline import PipelineState, SignalState, instant
from lowtide import units

if TYPE_CHECKING:
    from ingest.loader.loader import Loader
    from ingest.loader.pipe import PipeStatus
    from ingest.spool.records import SignalStatus
    from ingest.spool.room import RoomStatus
    from ingest.spool.spool import Spool

_COUNTERS = {
    f"lowtide_collector_items_{outcome}_total": outcome for outcome in ("received", "accepted", "refused")
}


class PipelineReader:
    """The state of this process's parts, counted from the moment this is made."""

    def __init__(self, spool: Spool, loader: Loader, registry: CollectorRegistry) -> None:
        """`registry` has the collector's counters, once it is made."""
        self._spool = spool
        self._loader = loader
        self._registry = registry
        self._at_start = {one.signal: one for one in spool.status().signals}

    def read(self) -> PipelineState:
        """Where everything stands now. From any thread, but not on an event loop: it reads a file."""
        counted = self._counted()
        spool = self._spool.status()
        loaded = self._loader.status()
        return PipelineState(
            read_at=datetime.now(UTC),
            signals=tuple(self._signal(one, loaded[one.signal], counted) for one in spool.signals),
            spool_bytes=spool.total_bytes,
            spool_limit_bytes=spool.limit_bytes,
            spool_failed=spool.failed,
            loader_failed=self._loader.failed(),
            disk_low=_disk_low(spool.room),
            batches_to_repeat=sum(one.batches_before_reboot for one in spool.signals),
            broken_parts=self._loader.broken_parts,
        )

    def _signal(
        self, spool: SignalStatus, loaded: PipeStatus, counted: Counter[tuple[str, str]]
    ) -> SignalState:
        before = self._at_start[spool.signal]
        signal = spool.signal.value
        return SignalState(
            signal=signal,
            received=counted["received", signal],
            accepted=counted["accepted", signal],
            refused=counted["refused", signal],
            inserted=loaded.inserted_items,
            requests_spooled=spool.last_seq - before.last_seq,
            requests_waiting_at_start=before.records_waiting,
            requests_inserted=loaded.inserted_requests,
            requests_waiting=spool.records_waiting,
            waiting_bytes=spool.bytes_waiting,
            oldest_waiting_at=instant(spool.oldest_received_ns),
            last_insert_at=instant(loaded.last_insert_at_ns),
            retrying=loaded.error,
            quarantined=loaded.quarantined_items,
            requests_quarantined=loaded.quarantined_requests,
            drain_s=_drain_s(spool.bytes_waiting, loaded),
        )

    def _counted(self) -> Counter[tuple[str, str]]:
        """The collector's counts of records, by what became of them and signal; refusals over all reasons."""
        found: Counter[tuple[str, str]] = Counter()
        for family in self._registry.restricted_registry(_COUNTERS).collect():
            for sample in family.samples:
                if sample.name in _COUNTERS:
                    found[_COUNTERS[sample.name], sample.labels["signal"]] += int(sample.value)
        return found


def _drain_s(waiting_bytes: int, loaded: PipeStatus) -> float | None:
    """How long storing what waits takes; nothing is known while the store takes nothing."""
    if not waiting_bytes:
        return 0.0
    return None if loaded.error or loaded.bytes_per_s is None else waiting_bytes / loaded.bytes_per_s


def _disk_low(room: RoomStatus | None) -> str:
    if room is None or not room.is_low:
        return ""
    return (
        f"{units.size(room.free_bytes)} are free on its disk, and {units.size(room.least_bytes)} are kept "
        "free (spool.min_free_share)"
    )
