"""One line that is rewritten where a person watches, else a line every few seconds. For what takes long."""

from __future__ import annotations

import sys
from time import monotonic

WATCHED_EVERY_S = 0.25
UNWATCHED_EVERY_S = 5.0


class ProgressLine:
    """Written to stderr; `close` ends it."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._every_s = WATCHED_EVERY_S if self._watched else UNWATCHED_EVERY_S
        self._next_at = 0.0
        self._shown = False

    def show(self, line: str) -> None:
        """The line, if it is time for one."""
        if monotonic() < self._next_at:
            return
        self._next_at = monotonic() + self._every_s
        self._shown = True
        sys.stderr.write(f"\r\x1b[K{line}" if self._watched else f"{line}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """End the rewritten line. May be called again."""
        if self._watched and self._shown:
            sys.stderr.write("\n")
        self._shown = False
