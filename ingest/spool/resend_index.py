"""Which requests were seen lately, by digest, in memory of fixed size. `ingest.spool.resends` owns one,
behind its lock.

A ring of entries, the newest in place of the oldest, and a hash table whose buckets are chains through the
ring. Entries are numbered without end; a link to a number that has left the ring ends its chain, so nothing
ever has to be unlinked. The memory comes from the system untouched and is taken page by page as it fills.

The trap: digests are chosen by senders, who could choose many of one bucket. So buckets are by Python's own
hash of the digest, which is keyed anew in every process.
"""

from __future__ import annotations

import mmap
import struct

_WORD = 8
_FIELDS = 5  # two halves of the digest, the older entry of its bucket, when it came, where its reply is
_HALVES = struct.Struct("<QQ")
DIGEST_BYTES = _HALVES.size
NOWHERE = 0
"""The place of an empty reply."""


class ResendIndex:
    """The last `entries` requests."""

    def __init__(self, entries: int) -> None:
        """`entries` is at least 1."""
        self._entries = entries
        buckets = 1 << (entries - 1).bit_length()
        self._mask = buckets - 1
        self._heads = _numbers(buckets)
        self._ring = _numbers(entries * _FIELDS)
        self.oldest = 1
        self.newest = 0
        """Numbers of the entries that are in it; `oldest` is one above `newest` if none is."""
        self.gone_ns: int | None = None
        """When the newest of those came that are in it no more; None while it is whole."""

    def __len__(self) -> int:
        return self.newest - self.oldest + 1

    def add(self, digest: bytes, at_ns: int, place: int) -> int:
        """Put an entry in, in place of the oldest if it is full; returns its number."""
        number = self.newest + 1
        self.forget(number - self._entries)
        bucket = hash(digest) & self._mask
        slot = number % self._entries * _FIELDS
        ring = self._ring
        ring[slot], ring[slot + 1] = _HALVES.unpack(digest)
        ring[slot + 2] = self._heads[bucket]
        ring[slot + 3] = at_ns
        ring[slot + 4] = place
        self._heads[bucket] = number
        self.newest = number
        return number

    def find(self, digest: bytes, not_before_ns: int) -> int | None:
        """Where the reply to a request lies that came at a time or later; None if there was none."""
        low, high = _HALVES.unpack(digest)
        ring = self._ring
        number = self._heads[hash(digest) & self._mask]
        while number >= self.oldest:
            slot = number % self._entries * _FIELDS
            if ring[slot] == low and ring[slot + 1] == high:
                return ring[slot + 4] if ring[slot + 3] >= not_before_ns else None
            number = ring[slot + 2]
        return None

    def forget(self, upto: int) -> None:
        """Drop everything up to a number."""
        upto = min(upto, self.newest)
        if upto >= self.oldest:
            self.gone_ns = self._ring[upto % self._entries * _FIELDS + 3]
            self.oldest = upto + 1


def _numbers(count: int) -> memoryview[int]:
    """That many unsigned 64-bit numbers, all 0."""
    return memoryview(mmap.mmap(-1, count * _WORD)).cast("Q")
