"""What keeps the suite from judging a receiver at all. The command shows the message and ends with code 2.

What a receiver answers, however wrong, is never an error: it is the outcome of a rule.
"""

from __future__ import annotations

from lowtide.errors import ExitCode, LowtideError


class ConformanceError(LowtideError):
    """Base of them."""

    exit_code = ExitCode.USAGE


class TargetError(ConformanceError):
    """An address, header or certificate file that cannot be used."""


class UnreachableError(ConformanceError):
    """Nobody answers there, or not OTLP, or not to us; nothing was judged."""
