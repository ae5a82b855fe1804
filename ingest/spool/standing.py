"""Where one signal of an open spool stands. The spool's `status` asks it."""

from __future__ import annotations

import structlog

from ingest.spool.batches import Batches
from ingest.spool.errors import SpoolReadError
from ingest.spool.reading import Waiting
from ingest.spool.records import SignalStatus
from ingest.spool.signal_log import SignalLog

log = structlog.get_logger(__name__)


def signal_status(opened: SignalLog, batches: Batches) -> SignalStatus:
    """The status of one signal. Waits for no fsync, but reads when the first waiting record came."""
    cursor, unfinished, before_reboot = batches.position(opened.signal)
    waiting = _first_waiting(opened, cursor)
    oldest_ns = [entry.oldest_ns for entry in unfinished]
    if waiting is not None:
        oldest_ns.append(waiting.received_ns)
    return SignalStatus(
        signal=opened.signal,
        first_seq=opened.first_seq,
        last_seq=opened.last_seq,
        cursor=cursor,
        batches=len(unfinished),
        batches_before_reboot=before_reboot,
        records_waiting=sum(entry.records for entry in unfinished) + opened.waiting(cursor),
        bytes_waiting=sum(entry.disk_bytes for entry in unfinished)
        + (0 if waiting is None else waiting.disk_bytes),
        oldest_received_ns=min(oldest_ns, default=None),
        lost_records=opened.lost(1, opened.last_seq),
        segments=opened.segments,
        disk_bytes=opened.disk_bytes,
    )


def _first_waiting(opened: SignalLog, cursor: int) -> Waiting | None:
    try:
        return opened.reader.first_waiting(cursor)
    except SpoolReadError as error:
        # The status must be told all the more when the disk is going.
        log.warning("The age of what waits cannot be read", signal=opened.signal.value, error=str(error))
        return None
