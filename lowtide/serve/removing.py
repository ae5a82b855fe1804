"""Removes the demo where no server runs: `lowtide demo --remove` is given it as `remove_here`.

The trap: a server that was killed leaves accepted telemetry in the spool, which the next one would store
after the removal. So what waits is stored first, as a server would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ingest.loader.going_back import open_checkpoints
from ingest.loader.loader import Loader
from ingest.loader.trust import trusted_since
from ingest.spool.spool import Spool
from ingest.store.engine import Engine
from ingest.store.migrate import migrate
from ingest.store.removal import remove_demo
from ingest.store.telemetry import StoreMetrics
from lowtide.demo.server import STORING, Removed, progress_words
from lowtide.errors import LowtideError
from lowtide.serve.own_demo import SETTLE_S
from lowtide.serve.scratch import leave_scratch, take_scratch
from lowtide.store_access import check_there, spool_directory, target_of

if TYPE_CHECKING:
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings


class StillWaitingError(LowtideError):
    """Accepted telemetry cannot be stored, so the demo's would come after its removal."""


def remove_demo_here(run: Invocation, tell: Callable[[str], None]) -> Removed:
    """Remove it from the store of this data directory. `tell` is given where it stands, in words.

    Raises NoDataError, AlreadyRunningError, SpoolError, StoreError and StillWaitingError.
    """
    settings = run.settings()
    run.start_logs(settings)
    with _everything_stored(settings, tell) as engine, engine.session() as session:
        removal = remove_demo(session, tell=lambda step: tell(progress_words(asdict(step))))
    return Removed(rows=dict(removal.rows), finished=removal.finished)


@contextmanager
def _everything_stored(settings: Settings, tell: Callable[[str], None]) -> Iterator[Engine]:
    """The store, after what waited in the spool has come in."""
    from lowtide.instance_lock import InstanceLock

    target = target_of(settings)
    check_there(target, settings)
    with ExitStack() as closing:
        closing.callback(InstanceLock.acquire(settings.data).release)
        take_scratch(settings.data)
        closing.callback(leave_scratch)
        registry = CollectorRegistry()
        spool = Spool.open(
            spool_directory(settings),
            settings.spool,
            registry=registry,
            boot_id=lambda: trusted_since(target),
        )
        closing.callback(spool.close)
        metrics = StoreMetrics(registry)
        checkpoints = open_checkpoints(spool, target, metrics)
        if checkpoints is not None:
            closing.callback(checkpoints.close)
        engine = Engine(target, lambda session: migrate(session, settings.store))
        closing.callback(engine.close)
        engine.reach()
        loader = Loader(
            spool, engine, settings.loader, registry=registry, checkpoints=checkpoints, store_metrics=metrics
        )
        loader.start()
        tell(STORING)
        if not loader.stop(SETTLE_S):
            raise StillWaitingError(
                "Accepted telemetry waits in the spool and cannot be stored; the demo's would come after its "
                "removal.",
                hint="`lowtide serve` says in its log why.",
            )
        try:
            yield engine
        finally:
            # Else the store would go back to what was there before, at the next start.
            loader.keep()
