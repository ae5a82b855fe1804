"""Patterns of names: `*` stands for any characters, `?` for one, everything else for itself, case included.

Frames match them as regular expressions, a single name as well, so that an explanation never differs from the
answer it explains.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl


def regex_of(patterns: Sequence[str]) -> str:
    """What matches any of these as a whole, for Python and for polars alike."""
    return f"(?s)^(?:{'|'.join(_core(pattern) for pattern in patterns)})$"


def matches(patterns: Sequence[str], text: str) -> bool:
    """Whether any of these matches the text as a whole."""
    core = "|".join(_core(pattern) for pattern in patterns)
    return re.fullmatch(core, text, re.DOTALL) is not None


def matching(column: pl.Expr, patterns: Sequence[str]) -> pl.Expr:
    """As `matches`, of a column of texts."""
    if not any(is_open(pattern) for pattern in patterns):
        return column.is_in(list(patterns))
    return column.str.contains(regex_of(patterns))


def is_open(pattern: str) -> bool:
    """Whether a pattern may match more than itself."""
    return "*" in pattern or "?" in pattern


def covers(wider: Sequence[str], narrower: Sequence[str]) -> bool:
    """Whether whatever matches the second surely matches the first. False where that takes thought: two
    patterns that are not the same."""
    return all(
        any(one == "*" or one == other or (not is_open(other) and matches([one], other)) for one in wider)
        for other in narrower
    )


def _core(pattern: str) -> str:
    parts = {"*": ".*", "?": "."}
    return "".join(parts.get(character) or re.escape(character) for character in pattern)
