"""What can go wrong with an import. All of it is said to a person; what was imported stays, and the next run
goes on behind it.

    ImportStoppedError        base
    +-- SourceError           the Prometheus refuses, or gives no answer (`is_too_much`: ask for less)
    +-- ReceiverError         Lowtide refuses, or gives no answer
    +-- StateError            the state file is of another import, or not ours
"""

from __future__ import annotations

from lowtide.errors import ExitCode, LowtideError


class ImportStoppedError(LowtideError):
    """The import cannot go on."""


class SourceError(ImportStoppedError):
    """The Prometheus cannot be asked."""

    def __init__(self, message: str, *, hint: str | None = None, is_too_much: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_too_much = is_too_much


class ReceiverError(ImportStoppedError):
    """Lowtide does not take what is sent."""


class StateError(ImportStoppedError):
    """The state file cannot be used."""

    exit_code = ExitCode.USAGE
