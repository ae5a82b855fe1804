"""What can go wrong between a question and its answer. Messages are plain sentences for a person.

All of them are permanent: the same question with the same price book fails again. What the store says passes
through as `ingest.store.errors`, where retryable and permanent differ.

    AnalyticsError
    +-- WindowError       the window is not one, or lies in the future
    +-- PriceBookError    a price file is wrong; `problems` has a sentence for each place
"""

from __future__ import annotations

from collections.abc import Sequence


class AnalyticsError(Exception):
    """Base of the errors of analytics."""


class WindowError(AnalyticsError):
    """What was given is no window of time."""


class PriceBookError(AnalyticsError):
    """Some prices are unusable. `problems` holds a sentence for each, beginning with file and line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        first, *rest = self.problems
        many = f"{len(self.problems)} problems in price files.\n" + "\n".join(
            f"  {line}" for line in self.problems
        )
        super().__init__(many if rest else first)
