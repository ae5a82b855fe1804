"""What a rule is, and what became of it. Everything in this package speaks in these words.

A rule is one sentence of a specification that can be checked from outside, with the request that checks it.
Its level is the specification's own word (RFC 2119), not our opinion of its weight. The trap: an outcome says
something about the receiver only if the receiver was at work; what throttling, a refused token or a broken
connection hides is `UNJUDGED`, never a failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowtide.conformance.session import Session


class Level(StrEnum):
    """How binding the sentence is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Outcome(StrEnum):
    """What became of a rule."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    UNSUPPORTED = "not supported"  # nothing asks for it: an option, or a signal the receiver does not take
    UNJUDGED = "not judged"


class Transport(StrEnum):
    """The way a rule's request takes."""

    HTTP = "http"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome, and in words what was seen."""

    outcome: Outcome
    observed: str


def passed(observed: str) -> Finding:
    return Finding(Outcome.PASS, observed)


def failed(observed: str) -> Finding:
    return Finding(Outcome.FAIL, observed)


def unsupported(observed: str) -> Finding:
    return Finding(Outcome.UNSUPPORTED, observed)


def unjudged(observed: str) -> Finding:
    return Finding(Outcome.UNJUDGED, observed)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `id` begins with the transport; `section` names the document, OTLP's unless it says another, and its
    heading. `sent` and `expected` are for people. A `large` rule sends what is small on the wire and large
    when decompressed; it is run only if asked for.
    """

    id: str
    level: Level
    section: str
    sent: str
    expected: str
    probe: Callable[[Session], Awaitable[Finding]]
    large: bool = False

    @property
    def transport(self) -> Transport:
        """The first part of the id."""
        return Transport(self.id.partition(".")[0])


@dataclass(frozen=True, slots=True)
class Result:
    """A rule and what became of it."""

    rule: Rule
    outcome: Outcome
    observed: str

    @property
    def is_breach(self) -> bool:
        """Whether the receiver breaks what it must keep."""
        return self.rule.level is Level.MUST and self.outcome is Outcome.FAIL
