"""What can be wrong with a dump of a cluster. Messages are plain sentences for a person.

All are permanent: the same dump fails again. What the store says passes through as `ingest.store.errors`.

    InventoryError               nothing of it was imported; `problems` has a sentence for each place
    +-- InventoryTooLargeError   it is larger than may be read
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST_PROBLEMS: Final = 100
"""Enough to see what kind of mistake it is."""


class InventoryError(Exception):
    """A dump that cannot be imported. Each problem begins with the file, and has the line, item, object and
    field if it has them.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        first, *rest = self.problems
        many = "\n".join(["Nothing was imported.", *(f"  {problem}" for problem in self.problems)])
        super().__init__(many if rest else f"{first}. Nothing was imported")


class InventoryTooLargeError(InventoryError):
    """The dump, what it unpacks to, or one object in it is larger than the limit."""
