"""What must hold between a signal's records and its batches. The spool calls these for the loader.

The trap: whoever leaves a record out of a batch loses it, because the cursor goes on beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import structlog

from ingest.spool.batches import Batches
from ingest.spool.records import Batch, SpoolRecord, token_of
from ingest.spool.signal_log import SignalLog

log = structlog.get_logger(__name__)
_REPAIR_BYTES = 16 * 1024 * 1024


def check_batch(opened: SignalLog, records: Sequence[SpoolRecord], cursor: int) -> None:
    """Raises ValueError unless these are all records of a signal after the cursor, up to their last."""
    name = opened.signal.value
    last_seq = records[-1].seq
    rising = all(one.seq < two.seq for one, two in pairwise(records))
    if not rising or records[0].seq <= cursor or any(r.signal is not opened.signal for r in records):
        raise ValueError(f"a batch of {name} must be of its records after {cursor}, in order")
    if last_seq > opened.last_seq:
        raise ValueError(f"record {last_seq} of {name} is not in this spool")
    missing = last_seq - cursor - len(records) - opened.lost(cursor + 1, last_seq)
    if missing:
        raise ValueError(
            f"{missing} records of {name} between {cursor + 1} and {last_seq} are missing in the batch; they "
            "would be lost"
        )


def fill_gaps(opened: SignalLog, batches: Batches) -> None:
    """Put records between two batches, whose own entry is gone, into batches of their own."""
    for first_seq, last_seq in batches.gaps(opened.signal):
        after = first_seq - 1
        while records := opened.reader.read(
            after, upto_seq=last_seq, max_bytes=_REPAIR_BYTES, max_records=None
        ):
            batch = batches.begin(opened.signal, records)
            log.error(
                "A batch's entry is gone; its records are batched anew and may be stored twice",
                signal=opened.signal.value, batch=batch.batch_id, first_seq=batch.first_seq,
                last_seq=batch.last_seq,
            )  # fmt: skip
            after = records[-1].seq


def records_of_batch(opened: SignalLog, batch: Batch) -> list[SpoolRecord]:
    """What is left of the records of a batch. Raises SpoolReadError."""
    records = opened.reader.read(
        batch.first_seq - 1, upto_seq=batch.last_seq, max_bytes=None, max_records=None
    )
    token = token_of(batch.batch_id, batch.signal, (record.digest for record in records))
    if token != batch.token and not batch.is_part:
        log.error(
            "A batch is no longer what it was when it was begun",
            signal=batch.signal.value, batch=batch.batch_id, records=len(records),
        )  # fmt: skip
    return records
