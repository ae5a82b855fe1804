"""The way in for what Lowtide has fetched itself: the same as for what is sent to it, but for the question
who is sending. `collector.server` has one; `collector.scrape` uses it.
"""

from __future__ import annotations

from typing import Protocol

from collector.admission import Lease
from collector.codecs import Encoding
from collector.door import Arrival, Caller, Form, Transport
from collector.handling import Wire
from collector.intake import Intake
from collector.refusals import RefusedError
from collector.replies import Outcome
from ingest.signals import Signal


class WayIn(Protocol):
    """What whoever fetches needs."""

    def hold(self, tenant: str) -> Lease:
        """Room for what is fetched. Raises what the intake would answer."""

    async def store(self, tenant: str, body: bytes) -> Outcome:
        """Store one remote write 2.0 request, or say why not."""


class OwnRequests:
    """Hands requests of our own to the intake."""

    def __init__(self, intake: Intake, transport: Transport) -> None:
        self._intake = intake
        self._transport = transport

    def hold(self, tenant: str) -> Lease:
        """Room for what is fetched, nothing at first. Raises what the intake would answer."""
        return self._intake.hold(tenant)

    async def store(self, tenant: str, body: bytes) -> Outcome:
        """Store one remote write 2.0 request. Nothing is raised but cancellation; what was begun is then done
        to its end all the same."""
        arrival = Arrival(Signal.METRICS, self._transport, Form.WRITE_2, {}, peer="")
        entry = self._intake.enter(arrival, Caller(tenant))
        if isinstance(entry, Outcome):
            return entry
        try:
            entry.lease.grow(len(body))
        except RefusedError as error:
            return self._intake.refused(entry, error)
        return await self._intake.finish(entry, Wire(body, Encoding.IDENTITY))
