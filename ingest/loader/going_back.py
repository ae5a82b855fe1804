"""Opens the checkpoints of an embedded store, and has the store go back to the last one. Whoever runs a
loader calls it between opening the spool and opening the engine.

The trap: the spool must have been opened as `ingest.loader.trust` says, so that it counts on nothing that the
store forgets.
"""

from __future__ import annotations

import structlog

from ingest.signals import Signal
from ingest.spool.spool import Spool
from ingest.store.checkpoints import Checkpoints, Position
from ingest.store.errors import StoreUnavailableError
from ingest.store.put_back import PutBack
from ingest.store.target import Embedded, Target
from ingest.store.telemetry import StoreMetrics

_log = structlog.get_logger(__name__)


def open_checkpoints(spool: Spool, target: Target, metrics: StoreMetrics) -> Checkpoints | None:
    """The checkpoints; None for a server, which sees to that itself. The engine must not be open yet.

    Raises StoreUnavailableError; then nothing may be stored.
    """
    if not isinstance(target, Embedded):
        return None
    checkpoints = Checkpoints(target)
    try:
        done = checkpoints.open(
            {
                signal: Position(
                    spool.safe_seq(signal), spool.cursor(signal), is_trusted=spool.trusts_store(signal)
                )
                for signal in Signal
            }
        )
    except OSError as error:
        checkpoints.close()
        raise StoreUnavailableError(
            f"the last checkpoint of the store in {target.directory} cannot be returned to: {error}"
        ) from error
    if done is not None:
        _tell(done)
        metrics.put_back(done)
    metrics.watch(lambda: checkpoints.taken_at_ns)
    return checkpoints


def _tell(done: PutBack) -> None:
    for problem in done.problems:
        _log.error(
            "Part of the store could not be put back; rows of the last seconds before this start may be"
            " missing or doubled",
            problem=problem,
        )  # fmt: skip
    _log.info(
        "The store was put back to its last checkpoint, and what came after it is stored again",
        tables=done.tables, parts=done.parts, returned=done.returned, removed=done.removed,
        forgetful=done.forgetful,
    )  # fmt: skip
