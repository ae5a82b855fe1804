"""How many of something, in words: "1 row", "1,234 rows". For every sentence that is read by people.

Called by what tells of imports, by `analytics.notes` and by the commands.
"""

from __future__ import annotations


def counted(number: int, noun: str, more: str = "") -> str:
    """The number with its noun, `more` being its plural where that is not one `s` longer."""
    return f"{number:,} {noun if number == 1 else more or noun + 's'}"
