"""Opens the checkpoints of an embedded store, and has the store go back to the last one. Whoever runs a
loader calls it between opening the spool and opening the engine.

The trap: the spool must have been opened as `ingest.loader.trust` says, so that it counts on nothing that the
store forgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.inspect import positions_of
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
    positions = {
        signal: Position(spool.safe_seq(signal), spool.cursor(signal), is_trusted=spool.trusts_store(signal))
        for signal in Signal
    }
    done = _go_back(checkpoints, positions, target)
    if done is not None:
        metrics.put_back(done)
    metrics.watch(lambda: checkpoints.taken_at_ns)
    return checkpoints


def go_back(spool: Path, target: Embedded) -> None:
    """Have the store go back beside a spool that is locked and not opened, for who copies both as they are.
    Neither it nor the engine may be open.

    Raises SpoolError, OSError, StoreUnavailableError.
    """
    if not (target.directory.is_dir() and spool.is_dir()):
        return
    checkpoints = Checkpoints(target)
    positions = {signal: Position(safe, cursor) for signal, (safe, cursor) in positions_of(spool).items()}
    _go_back(checkpoints, positions, target)
    checkpoints.close()


def _go_back(
    checkpoints: Checkpoints, positions: Mapping[Signal, Position], target: Embedded
) -> PutBack | None:
    try:
        done = checkpoints.open(positions)
    except OSError as error:
        checkpoints.close()
        raise StoreUnavailableError(
            f"the last checkpoint of the store in {target.directory} cannot be returned to: {error}"
        ) from error
    if done is not None:
        _tell(done)
    return done


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
