"""How refused records are told to their sender. `collector.check.rules` counts here, `collector.check.check`
asks for the sentence.

The trap: names come from the sender and go back into replies and logs, so they are cut and made printable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ingest.signals import Signal

_NAME_LENGTH: Final = 80
_NOUNS: Final = {
    Signal.TRACES: ("span", "spans"),
    Signal.METRICS: ("data point", "data points"),
    Signal.LOGS: ("log record", "log records"),
}


def quoted(text: str) -> str:
    """A sender's text in quotes, at most 80 characters, with nothing unprintable in it."""
    cut = text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…"
    return "'" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut) + "'"


def counted(number: int, signal: Signal) -> str:
    """`1 span`, `512 spans`."""
    return f"{number} {_NOUNS[signal][number != 1]}"


@dataclass(slots=True)
class Findings:
    """How often each rule was broken, with the first example of each; in the order of their first time."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, rule: str, example: Callable[[], str]) -> None:
        """Count one; `example` is only asked for the first of its rule."""
        if rule not in self.counts:
            self.examples[rule] = example()
        self.counts[rule] = self.counts.get(rule, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def refusal(self, signal: Signal, total: int) -> str:
        """`3 of 512 spans refused: 2 with ... (first: ...), 1 with ... (first: ...)`; empty when none was."""
        if not self.counts:
            return ""
        rules = ", ".join(
            f"{count} {rule} (first: {self.examples[rule]})" for rule, count in self.counts.items()
        )
        return f"{self.total} of {counted(total, signal)} refused: {rules}"

    def remark(self) -> str:
        """One sentence for each finding that refuses nothing; empty when there is none."""
        return "; ".join(
            f"{count} {rule} (first: {self.examples[rule]})" for rule, count in self.counts.items()
        )
