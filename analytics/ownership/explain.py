"""Why a workload belongs to whom: every rule, whether it matches, what it says and why it does not. Pure
functions; `analytics.owners_answer` puts them into words.

The trap: it must come to the same as `apply`, which a test holds it to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analytics.ownership.globs import matches
from analytics.ownership.rules import SAID, Placed, Ruleset, column_of, pieces_of


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule that was tried: why it does not match (empty: it does), what it says, what of it counts."""

    placed: Placed
    why_not: str
    says: Mapping[str, str]
    counts: Sequence[str]


def tried(workload: Mapping[str, object], ruleset: Ruleset) -> list[Tried]:
    """All rules, in order, for a workload as `apply.owned` takes it."""
    found: list[Tried] = []
    settled: set[str] = set()
    for placed in ruleset.rules:
        why_not = _why_not(workload, placed)
        says = {} if why_not else _says(workload, placed)
        counts = [name for name in SAID if says.get(name) and name not in settled]
        settled.update(counts)
        found.append(Tried(placed, why_not, says, counts))
    return found


def _why_not(workload: Mapping[str, object], placed: Placed) -> str:
    for name, patterns in placed.rule.match.conditions():
        text = _value(workload, name)
        if not matches(patterns, text):
            wanted = " or ".join(patterns[:5]) + (" or others" if len(patterns) > 5 else "")
            return f"{name} is {text}, not {wanted}" if text else f"{name} is not known, and not {wanted}"
    return ""


def _says(workload: Mapping[str, object], placed: Placed) -> dict[str, str]:
    """By field; empty where a reference is."""
    said = {}
    for name, text in placed.rule.said().items():
        parts = [_value(workload, part) if is_reference else part for part, is_reference in pieces_of(text)]
        said[name] = "".join(parts) if all(parts) else ""
    return said


def _value(workload: Mapping[str, object], name: str) -> str:
    return str(workload.get(column_of(name)) or "")
