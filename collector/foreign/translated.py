"""What a translation of another protocol into OTLP gives. Every translator returns one."""

from __future__ import annotations

from dataclasses import dataclass

from collector.replies import NOTHING_WRITTEN, Written


@dataclass(frozen=True, slots=True)
class Translated:
    """`body` is OTLP, or empty. `written` are the elements in it, which only remote write is told; `refused`
    counts those that are not, and `reason` says why."""

    body: bytes
    written: Written = NOTHING_WRITTEN
    refused: int = 0
    reason: str = ""
