"""The span of time an answer is about. `analytics.answers` and the command parse it here.

`7d`, `24h`, `30d` end now and begin at a full hour; `START/END` are ISO 8601 times with offset. The trap:
costs are kept by the hour of UTC, so a window's start is moved back to a full hour, and the answer says so
by printing it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analytics.errors import WindowError

_RELATIVE = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
LONGEST = timedelta(days=400)
DEFAULT_WINDOW = "7d"
"""What is shown to who names none: working days and a weekend."""
DAY_WINDOW = "24h"
"""The same for answers that read every minute."""
EXAMPLES = "7d, 24h, 4w or 2026-11-01T00:00Z/2026-11-08T00:00Z"


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to before `end`, both aware and in UTC; `start` is a full hour."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds()


def parse_window(text: str, now: datetime) -> Window:
    """The window that `text` means at the instant `now`. An end in the future is moved to now.

    Raises WindowError for anything else than the forms above, an empty window, or one beyond 400 days.
    """
    now = now.astimezone(UTC)
    relative = _RELATIVE.fullmatch(text.strip())
    if relative is not None:
        length = int(relative[1]) * _UNITS[relative[2]]
        if not timedelta(0) < length <= LONGEST:
            raise WindowError(f"the window {text!r} must be longer than nothing and at most 400 days")
        return Window(_hour(now - length), now)
    start_text, slash, end_text = text.strip().partition("/")
    if not slash:
        raise WindowError(f"{text!r} is no window; write {EXAMPLES}")
    start, end = _instant(start_text), min(_instant(end_text), now)
    if start >= end:
        raise WindowError(f"the window {text!r} ends before it begins, or lies in the future")
    if end - start > LONGEST:
        raise WindowError(f"the window {text!r} is longer than 400 days")
    return Window(_hour(start), end)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise WindowError(f"{text!r} is no ISO 8601 time; write {EXAMPLES}") from None
    if at.tzinfo is None:
        raise WindowError(f"{text!r} has no offset; add Z or +01:00")
    return at.astimezone(UTC)
