"""Opens the store for a command when no server runs, and says where the store is.

Commands first ask `Invocation.server`; only without a server they come here. The trap: an embedded store
belongs to one process, so its data directory is locked as long as the store is open, and a server cannot
start meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.store.target import Embedded, Server, Target, parse_target
from lowtide.errors import LowtideError

if TYPE_CHECKING:
    from ingest.store.engine import Engine
    from lowtide.settings import Settings

STORE_FOLDER = "store"
SPOOL_FOLDER = "spool"


class NoDataError(LowtideError):
    """There is no store yet that could answer."""


def target_of(settings: Settings) -> Target:
    """Where the store of these settings is; an embedded one lies in the data directory."""
    target = parse_target(settings.store.url, store_directory(settings))
    if isinstance(target, Server) and settings.store.password:
        return replace(target, password=settings.store.password)
    return target


def store_directory(settings: Settings) -> Path:
    """The folder the embedded engine owns."""
    return settings.data / STORE_FOLDER


def spool_directory(settings: Settings) -> Path:
    """The folder of the log of what was accepted."""
    return settings.data / SPOOL_FOLDER


def check_there(target: Target, settings: Settings) -> None:
    """Raises NoDataError if the store would have to be made first. A server is not asked."""
    if isinstance(target, Embedded) and not target.directory.is_dir():
        raise _no_data(target, settings)


def _no_data(target: Target, settings: Settings) -> NoDataError:
    start = "Start Lowtide with `lowtide serve` or `lowtide quickstart`"
    if isinstance(target, Embedded):
        return NoDataError(
            f"There is no data in {settings.data} yet.",
            hint=f"{start}, or name another directory with --data.",
        )
    return NoDataError(f"There is no data in {target} yet.", hint=f"{start}, or name another store.url.")


@contextmanager
def open_store(settings: Settings, *, create: bool = False) -> Iterator[Engine]:
    """The store, for as long as the block lasts, with its tables as they are.

    Raises NoDataError if there are none yet and `create` is not set, AlreadyRunningError if another process
    owns the data directory, StoreError if the store cannot be opened.
    """
    from ingest.store.engine import Engine
    from ingest.store.migrate import applied_number
    from lowtide.instance_lock import InstanceLock

    target = target_of(settings)
    with ExitStack() as closing:
        if not create:
            check_there(target, settings)
        if isinstance(target, Embedded):
            lock = InstanceLock.acquire(settings.data)
            closing.callback(lock.release)
        engine = Engine.open(target)
        closing.callback(engine.close)
        if not create:
            with engine.session() as session:
                if applied_number(session) is None:
                    raise _no_data(target, settings)
        yield engine
