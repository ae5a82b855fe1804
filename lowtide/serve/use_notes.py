"""Notes when tokens were last used, once a minute instead of at each request. Made by `lowtide.serve.parts`.

The trap: a process that is killed loses the last minute's notes; `lowtide token list` says "about" for that
reason.
"""

from __future__ import annotations

import threading
from typing import Final, Protocol

_EVERY_S: Final = 60.0


class Noting(Protocol):
    """What knows it."""

    def note_use(self) -> None:
        """Write it down if it has changed; raises nothing."""


class UseNotes:
    """A thread that does so until it is closed, and then once more."""

    def __init__(self, tokens: Noting, *, every_s: float = _EVERY_S) -> None:
        self._tokens = tokens
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="token-use", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Note what is left, and end."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self._tokens.note_use()
        self._tokens.note_use()
