"""Every setting of the way from receiver to store. `lowtide/settings.py` composes them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.signals import Signal

MIB = 1024 * 1024
OWN_BYTES = MIB // 2
"""What the spool keeps for itself: the log of batches and the reserve for a full disk."""


class SpoolSettings(BaseModel):
    """The log on disk that holds what was acknowledged until it is stored. Sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit_bytes: int = Field(
        default=8 * 1024 * MIB,
        ge=OWN_BYTES,
        description="Bytes the spool may take on disk. Above it senders are told to come back later. 8 GiB "
        "hold the highest load of two cores for about a minute and a half, an ordinary one for hours.",
    )
    min_free_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of the disk that must be free for requests to be taken; below it senders are told "
        "to come back later. A twentieth: the embedded store needs room to take what waits and to merge, and "
        "a disk that is really full stops both. 0 takes requests until the disk is full.",
    )
    min_free_most_bytes: int = Field(
        default=4 * 1024 * MIB,
        ge=0,
        description="Bytes that are kept free at most, whatever min_free_share says. 4 GiB: the store takes "
        "a full spool in about half of it, and merges in the rest; a twentieth of a large disk would only "
        "lie idle.",
    )
    segment_bytes: int = Field(
        default=64 * MIB,
        ge=4 * 1024,
        le=1024 * MIB,
        description="Bytes after which a new segment file is begun. Room is given back a segment at a time; "
        "64 MiB keep the files few.",
    )
    queue_bytes: int = Field(
        default=128 * MIB,
        ge=1024,
        description="Bytes of requests that may wait in memory for the disk. With more waiting, senders are "
        "told to come back. 128 MiB outlast a disk that stalls for half a second at the highest load.",
    )
    group_commit_ms: float = Field(
        default=20.0,
        ge=0,
        le=1000,
        description="Milliseconds a request waits at most for others, so that one fsync serves them all. It "
        "only waits if others came with the one before, and never longer than an fsync took. 20 ms do not "
        "matter to any sender; 0 never waits.",
    )

    resend_window_s: float = Field(
        default=900.0,
        ge=0,
        le=30 * 86_400,
        description="Seconds for which a request is remembered, so that it is not stored again if its sender "
        "did not hear that it was taken. A quarter of an hour: SDKs give up after one minute, collectors "
        "after five.",
    )
    resend_entries: int = Field(
        default=500_000,
        ge=0,
        le=50_000_000,
        description="Requests that are remembered at most; the oldest goes first. Each takes 48 bytes of "
        "memory and up to 68 on disk, beside limit_bytes. Half a million are a quarter of an hour at 550 "
        "requests a second. 0 remembers none.",
    )

    quarantine_bytes: int = Field(
        default=1024 * MIB,
        ge=0,
        description="Bytes that requests may fill which the store can never take, beside limit_bytes. Above "
        "it the next such request is held in the spool, and what came after it: nothing acknowledged is "
        "thrown away. 1 GiB is thousands of the largest ordinary requests.",
    )

    @model_validator(mode="after")
    def _room_for_segments(self) -> Self:
        """Each signal keeps the segment it writes; beside them one must fit that can be given back."""
        least = (len(Signal) + 1) * self.segment_bytes + OWN_BYTES
        if self.limit_bytes < least:
            raise ValueError(
                f"limit_bytes is {self.limit_bytes}, but the segments being written and the log of batches "
                f"may take {least}; raise it or lower segment_bytes"
            )
        return self
