"""One OTLP request over HTTP, from its head to its outcome. `collector.http_protocol` has one for each
request of a connection, and writes what came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from collector.door import Arrival, Transport
from collector.handling import Wire
from collector.http_message import EarlyRefusal, Field, Head, Target, target_of, too_large
from collector.intake import Entry, Intake
from collector.outcomes import INTERNAL_ERROR
from collector.refusals import TooLargeError
from collector.replies import Outcome
from collector.settings import CollectorSettings
from collector.tls.certificate import Certificate


@dataclass(frozen=True, slots=True)
class Sender:
    """Who is at the other end of a connection."""

    address: str
    certificate: Certificate | None


class Exchange:
    """Whoever has one calls `begin` once all before it are answered; `broken`, `late` or `gone` if its body
    will not come; `handle` and `answered` when it is here. Whatever is returned as an outcome is its answer.
    """

    __slots__ = (
        "_body", "_entry", "_intake", "_refusal", "_settings", "_target", "head", "headers", "is_answered",
        "is_whole", "keeps_alive",
    )  # fmt: skip

    def __init__(
        self,
        settings: CollectorSettings,
        intake: Intake,
        head: Head | None,
        *,
        keeps_alive: bool,
        refusal: Outcome | None = None,
    ) -> None:
        """`head` is None if it could not be read; `refusal` is what the connection has decided on itself."""
        self._settings = settings
        self._intake = intake
        self._target: Target | None = None
        self._entry: Entry | None = None
        self._body: bytes | bytearray = b""  # one piece, for a chunk may be a byte
        self.head = head
        self.keeps_alive = keeps_alive and refusal is None
        self._refusal = refusal
        self.headers: Sequence[Field] = ()
        """Of its answer, besides the usual ones."""
        self.is_whole = False
        """All of it has come."""
        self.is_answered = False

    @property
    def waits_to_be_asked(self) -> bool:
        """Whether its body comes only after "100 Continue"."""
        return not self.is_whole and not self._body and self.head is not None and self.head.wants_to_be_asked

    def begin(self, sender: Sender) -> Outcome | None:
        """Decide what can be decided before its body is read, and on what has come of that already."""
        head, intake = self.head, self._intake
        if head is None or self._refusal is not None:
            signal = None if head is None else head.signal
            return intake.turn_away(signal, Transport.HTTP, self._refusal or INTERNAL_ERROR)
        try:
            self._target = target_of(head, self._settings)
        except EarlyRefusal as early:
            self.headers = early.headers
            return intake.turn_away(head.signal, Transport.HTTP, early.outcome)
        entry = intake.enter(_arrival(head, self._target, sender))
        if isinstance(entry, Outcome):
            return entry
        self._entry = entry
        try:
            # The lease grows with what arrives; a stated length costs a sender nothing, so it takes no room
            # away from others. But what would not fit now need not be read.
            entry.lease.expect(head.stated_bytes)
        except Exception as error:  # noqa: BLE001 - the intake knows what it means
            return intake.refused(entry, error)
        came, self._body = self._body, b""
        return self.take(came) if came else None

    def take(self, piece: bytes | bytearray) -> Outcome | None:
        """A piece of its body. Before it begins nothing is asked: that is no more than was read at once."""
        entry, target = self._entry, self._target
        if entry is not None and target is not None:
            try:
                if len(self._body) + len(piece) > target.limit_bytes:
                    raise TooLargeError(too_large(target.limit_bytes))  # noqa: TRY301 - one way out for both
                entry.lease.grow(len(piece))
            except Exception as error:  # noqa: BLE001 - the intake knows what it means
                return self._intake.refused(entry, error)
        if not self._body:
            self._body = piece  # most come in one
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        return None

    def handle(self) -> asyncio.Task[Outcome]:
        """Begin to check and store what has come."""
        assert self._entry is not None and self._target is not None  # noqa: S101, PT018 - it was let in
        body, self._body = self._body, b""
        return self._intake.handle(self._entry, Wire(bytes(body), self._target.encoding))

    def answered(self, outcome: Outcome) -> Outcome:
        """Count what came of it; returns it."""
        assert self._entry is not None  # noqa: S101 - it was let in
        return self._intake.answered(self._entry, outcome)

    def broken(self, outcome: Outcome) -> Outcome:
        """It cannot be read to its end."""
        self.keeps_alive = False
        return outcome if self._entry is None else self._intake.refused(self._entry, outcome)

    def late(self) -> Outcome | None:
        """Its body takes too long; None if it is not waited for any more."""
        if self._entry is None or self.is_answered:
            return None
        return self._intake.refused(self._entry, self._intake.too_slow())

    def gone(self) -> None:
        """Its sender is gone, or the intake was closed over it."""
        self.let_go()
        if self._entry is not None and not self.is_answered:
            self._intake.gone(self._entry)

    def let_go(self) -> None:
        """Keep nothing of its body."""
        self._body = b""


def _arrival(head: Head, target: Target, sender: Sender) -> Arrival:
    return Arrival(
        signal=target.signal,
        transport=Transport.HTTP,
        form=target.form,
        headers=head.headers,
        peer=sender.address,
        certificate=sender.certificate,
    )
