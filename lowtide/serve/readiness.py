"""Whether every part of the process can do its work, for `/readyz` and for the watch of the lifecycle.

The trap: a store that hangs must not hang the probe with it, nor may probes pile up behind it: one
question is under way at most, and whoever asks meanwhile shares it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from api.health import Component
from api.pipeline import PipelineState
from ingest.store.errors import StoreError
from lowtide.serve.lifecycle import Phase

if TYPE_CHECKING:
    from ingest.store.engine import Engine, Session


class StoreProbe:
    """Asks the store for nothing in particular, over a session of its own."""

    def __init__(self, engine: Engine, answer_s: float) -> None:
        self._engine = engine
        self._answer_s = answer_s
        self._session: Session | None = None
        self._lock = threading.Lock()
        self._asking: asyncio.Task[str] | None = None

    async def problem(self) -> str:
        """Why the store does not answer; empty if it does. Takes `answer_s` at most."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._ask))
        try:
            async with asyncio.timeout(self._answer_s):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            return f"no answer within {self._answer_s:g} s"

    def _ask(self) -> str:
        with self._lock:
            try:
                if self._session is None:
                    self._session = self._engine.session()
                self._session.value("SELECT 1")
            except StoreError as error:
                self._drop()
                return str(error)
        return ""

    def _drop(self) -> None:
        """A session that failed is not asked again."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class Prober(Protocol):
    """What readiness needs to know of the store."""

    async def problem(self) -> str:
        """Why it does not answer; empty if it does."""


class ReadinessReader:
    """Asks every part. `phase` is read at each call."""

    def __init__(self, phase: Callable[[], Phase], store: Prober) -> None:
        self._phase = phase
        self._store = store

    async def components(self, state: PipelineState) -> Sequence[Component]:
        """Server, spool, loader and store, the middle ones as the state says."""
        problem = await self._store.problem()
        return [
            _server(self._phase()),
            _spool(state),
            _loader(state),
            Component("store", not problem, problem or _answers(state)),
        ]


def _server(phase: Phase) -> Component:
    return Component("server", phase is Phase.RUNNING, f"it is {phase}")


def _spool(state: PipelineState) -> Component:
    if state.spool_failed:
        return Component("spool", False, f"it takes nothing more: {state.spool_failed}")
    used = f"{state.spool_bytes} of {state.spool_limit_bytes} bytes are used"
    if state.spool_bytes >= state.spool_limit_bytes:
        return Component("spool", False, f"it is full, senders are told to come back: {used}")
    if state.disk_low:
        return Component("spool", False, f"senders are told to come back: {state.disk_low}")
    return Component("spool", True, used)


def _loader(state: PipelineState) -> Component:
    if state.loader_failed:
        return Component("loader", False, f"it has ended: {state.loader_failed}")
    if state.retrying:
        # Not a reason by itself: the spool holds what waits, and the store is asked separately.
        return Component("loader", True, f"it is repeating a batch: {state.retrying}")
    if state.batches_to_repeat:
        return Component(
            "loader",
            True,
            f"it is storing again {state.batches_to_repeat} batches that came after the last checkpoint",
        )
    return Component("loader", True, "it is storing what comes")


def _answers(state: PipelineState) -> str:
    if state.broken_parts:
        return f"it answers, without {state.broken_parts} parts that are damaged: the log names them"
    return "it answers"


def hopeless(spool_failed: str, loader_failed: str) -> str:
    """A sentence about a part that cannot recover while the process lives; empty while there is none."""
    if spool_failed:
        return f"The spool can no longer be written: {spool_failed}."
    if loader_failed:
        return f"Storing telemetry has ended: {loader_failed}."
    return ""
