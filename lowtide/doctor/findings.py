"""What `lowtide doctor` finds: at least one finding for every check, with what is wrong and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Works, but will not for long, or not under every fault."""
    PROBLEM = "problem"
    """Does not work, or breaks a promise."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    what: str
    """What was found."""
    do: str = ""
    """What to do about it; empty if nothing."""


def ok(check: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, do: str) -> Finding:
    """It will go wrong one day."""
    return Finding(check, Level.WARNING, what, do)


def problem(check: str, what: str, do: str) -> Finding:
    """It is wrong."""
    return Finding(check, Level.PROBLEM, what, do)


def worst(findings: list[Finding]) -> Level:
    """The worst of all levels; ok if there is nothing."""
    order = list(Level)
    return max((each.level for each in findings), key=order.index, default=Level.OK)
