"""What can go wrong between a question and its answer. Messages are plain sentences for a person.

All of them are permanent: the same question with the same files fails again. What the store says passes
through as `ingest.store.errors`, where retryable and permanent differ.

    AnalyticsError
    +-- WindowError       the window is not one, or lies in the future
    +-- FilterError       a filter cannot be read, or asks for what nobody knows
    +-- FileError         a file of the user's is wrong; `problems` has a sentence for each place
        +-- PriceBookError    one of prices
        +-- OwnershipError    that of owners
"""

from __future__ import annotations

from collections.abc import Sequence


class AnalyticsError(Exception):
    """Base of the errors of analytics."""


class WindowError(AnalyticsError):
    """What was given is no window of time."""


class FilterError(AnalyticsError):
    """What was given is no filter. The message says where in its text, not which filter."""


class FileError(AnalyticsError):
    """A file is unusable. `problems` holds a sentence for each place, beginning with file and line."""

    what = "the files"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        first, *rest = self.problems
        many = f"{len(self.problems)} problems in {self.what}.\n" + "\n".join(
            f"  {line}" for line in self.problems
        )
        super().__init__(many if rest else first)


class PriceBookError(FileError):
    """Some prices are unusable."""

    what = "price files"


class OwnershipError(FileError):
    """The ownership file is unusable."""

    what = "the ownership file"
