"""The store of a data directory that no server runs on, for commands that change it.

The trap: a server that was killed leaves accepted telemetry in the spool, which the next one would store
later, and the embedded store goes back to its last checkpoint at each start. So what waits is stored first,
as a server would, and a checkpoint is taken at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from ingest.loader.going_back import open_checkpoints
from ingest.loader.loader import Loader
from ingest.loader.trust import trusted_since
from ingest.spool.spool import Spool
from ingest.store.engine import Engine
from ingest.store.errors import StoreError
from ingest.store.migrate import migrate
from ingest.store.telemetry import StoreMetrics
from lowtide.errors import LowtideError
from lowtide.instance_lock import InstanceLock
from lowtide.serve.own_demo import SETTLE_S
from lowtide.serve.scratch import leave_scratch, take_scratch
from lowtide.settings import Settings
from lowtide.store_access import check_there, spool_directory, target_of


class StillWaitingError(LowtideError):
    """Accepted telemetry cannot be stored, so it would come after what the command does."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The open store, and the loader, which has stored everything and ended."""

    engine: Engine
    loader: Loader


@contextmanager
def everything_stored(
    settings: Settings, tell: Callable[[], None], *, create: bool = False
) -> Iterator[Alone]:
    """The store, after what waited in the spool has come in. `tell` is called before that. With `create` it
    is made if there is none.

    Raises NoDataError, AlreadyRunningError, SpoolError, StoreError and StillWaitingError.
    """
    target = target_of(settings)
    if not create:
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
        tell()
        if not loader.stop(SETTLE_S):
            raise StillWaitingError(
                "Accepted telemetry waits in the spool and cannot be stored; it would come after what this "
                "command does.",
                hint="`lowtide serve` says in its log why.",
            )
        try:
            yield Alone(engine, loader)
        except BaseException:
            with suppress(StoreError):  # the first error is the one to be told
                loader.keep()
            raise
        # Else the store would go back to what was there before, at the next start.
        loader.keep()
