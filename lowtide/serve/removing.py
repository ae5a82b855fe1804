"""Removes the demo where no server runs: `lowtide demo --remove` is given it as `remove_here`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from ingest.store.removal import remove_demo
from lowtide.demo.server import STORING, Removed, progress_words
from lowtide.serve.alone import everything_stored

if TYPE_CHECKING:
    from lowtide.cli.invocation import Invocation


def remove_demo_here(run: Invocation, tell: Callable[[str], None]) -> Removed:
    """Remove it from the store of this data directory. `tell` is given where it stands, in words.

    Raises NoDataError, AlreadyRunningError, SpoolError, StoreError and StillWaitingError.
    """
    settings = run.settings()
    run.start_logs(settings)
    with everything_stored(settings, lambda: tell(STORING)) as alone, alone.engine.session() as session:
        removal = remove_demo(session, tell=lambda step: tell(progress_words(asdict(step))))
    return Removed(rows=dict(removal.rows), finished=removal.finished)
