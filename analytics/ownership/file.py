"""The ownership file as it is now: read at start-up, where a fault ends the start, and again when it has
changed, where a fault leaves the rules that were. `analytics.answers.Basis` has one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from analytics.errors import OwnershipError
from analytics.ownership.rules import Ruleset, parse_rules

_log = structlog.get_logger(__name__)


def read_rules(path: Path) -> Ruleset:
    """The rules of a file. Raises OwnershipError with everything that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise OwnershipError([f"{path} cannot be read: {why}"]) from None
    ruleset, problems = parse_rules(text, str(path))
    if problems:
        raise OwnershipError([str(problem) for problem in problems])
    return ruleset


@dataclass(frozen=True, slots=True)
class Ownership:
    """The rules that hold, and what is wrong with the file if it is not these that it says now."""

    rules: Ruleset
    problems: Sequence[str] = ()


class OwnershipFile:
    """Safe to call from any thread."""

    def __init__(self, path: Path | None) -> None:
        """Read it. Raises OwnershipError; without a path there are no rules."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._rules = read_rules(path) if path is not None else Ruleset()
        self._problems: Sequence[str] = ()

    def now(self) -> Ownership:
        """What holds at the moment."""
        if self._path is None:
            return Ownership(self._rules)
        with self._lock:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                self._read_again(self._path)
            return Ownership(self._rules, self._problems)

    def _read_again(self, path: Path) -> None:
        try:
            self._rules, self._problems = read_rules(path), ()
            _log.info("Ownership file read again", file=str(path), rules=len(self._rules.rules))
        except OwnershipError as error:
            self._problems = error.problems
            _log.warning(
                "Ownership file is wrong, the rules read before still hold",
                file=str(path),
                problems=list(error.problems[:5]),
            )

    def _stamp_now(self) -> object:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


NOBODY: Final = OwnershipFile(None)
"""Without a file."""
