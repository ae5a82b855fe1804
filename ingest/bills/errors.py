"""What can be wrong with a bill. Messages are plain sentences for a person.

All are permanent: the same file fails again. What the store says passes through as `ingest.store.errors`.

    BillError               nothing of it was imported; `problems` has a sentence for each place
    +-- BillTooLargeError   it is larger than may be read
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST_PROBLEMS: Final = 100
"""Enough to see what kind of mistake it is; a file of the wrong kind has one in every row."""


class BillError(Exception):
    """A bill that cannot be imported. Each problem begins with the file, and its line and column if it has
    them.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        first, *rest = self.problems
        many = "\n".join(["Nothing was imported.", *(f"  {problem}" for problem in self.problems)])
        super().__init__(many if rest else f"{first}. Nothing was imported")


class BillTooLargeError(BillError):
    """The file, or what it unpacks to, is larger than the limit."""
