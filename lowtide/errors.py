"""What the command says when something goes wrong, and with which exit code.

`lowtide.__main__` asks it about every exception a command lets through. Each boundary keeps its own error
tree; this module knows their bases by name only, because importing them would make `lowtide --help` slow.
The trap: an error that is not listed is taken for a bug in Lowtide and shows its traceback.

    LowtideError            anything the command raises itself; has `hint` and `exit_code`
    +-- ThresholdExceeded   a gate of the caller's was crossed (exit code 3)
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. Stable: scripts and CI gates depend on it."""

    OK = 0
    ERROR = 1
    USAGE = 2
    THRESHOLD_EXCEEDED = 3


class LowtideError(Exception):
    """Base of the errors of the command. The message is a plain sentence for a person.

    `hint` is a second sentence that says what to do, if the message does not say so already.
    """

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ThresholdExceeded(LowtideError):  # noqa: N818 - no error: the command worked, its answer is "too much"
    """The command worked, and its answer crosses the limit the caller gave (a gate in CI)."""

    exit_code = ExitCode.THRESHOLD_EXCEEDED


EXPECTED = (
    "lowtide.errors:LowtideError",
    "lowtide.demo.sending:SendError",
    "collector.errors:CollectorError",
    "ingest.spool.errors:SpoolError",
    "ingest.store.errors:StoreError",
    "analytics.errors:AnalyticsError",
    "ingest.bills.errors:BillError",
    "ingest.inventory.errors:InventoryError",
)
"""Bases of the error trees whose messages are written for people, as `module:class`."""


def is_expected(error: BaseException) -> bool:
    """Whether the error says all a person needs, so that no traceback is wanted.

    Errors of the operating system count: "Permission denied: '/var/lib/lowtide'" is an answer.
    """
    names = {f"{cls.__module__}:{cls.__qualname__}" for cls in type(error).__mro__}
    return isinstance(error, OSError) or not names.isdisjoint(EXPECTED)


def exit_code(error: BaseException) -> int:
    """The exit code for an error a command let through."""
    return error.exit_code if isinstance(error, LowtideError) else ExitCode.ERROR


def explain(error: BaseException) -> str:
    """The error, what caused it, and what to do, as lines for a person. No traceback.

    A cause whose words the message above it already contains is not said twice.
    """
    lines: list[str] = []
    hints: list[str] = []
    for link in _chain(error):
        words = _words(link)
        if not any(words in line for line in lines):
            lines.append(f"Error: {words}" if not lines else f"  because: {words}")
        hint = getattr(link, "hint", None)
        if isinstance(hint, str) and hint not in hints:
            hints.append(hint)
    return "\n".join([*lines, *(f"  Hint: {hint}" for hint in hints)])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and type(error).__str__ is OSError.__str__:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error).strip() or type(error).__name__
