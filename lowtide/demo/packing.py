"""Records of many templates sorted into export requests: by time, then by instance and scope.

Used by the player for spans and logs. A request is what a Collector in front of the estate would send: a
few thousand records of one stretch of time from all instances. The trap: partitions are days, so a request
never crosses midnight UTC, and no request may come near the receiver's size limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ingest.signals import Signal
from lowtide.demo.arrivals import DAY_NS
from lowtide.demo.wire import Integers, Octets, varint
from lowtide.demo.wire import field as wire_field

MAX_REQUEST_BYTES = 3_500_000
SCOPE_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Request:
    """One export request, not yet compressed."""

    signal: Signal
    body: bytes
    items: int
    due_ns: int
    """When the last of it has ended: a live sender waits for that."""


@dataclass(frozen=True, slots=True)
class Block:
    """Records of one template: rows of equal length, and for each its unit, start and end."""

    rows: Octets
    units: Integers
    scope: int
    starts_ns: Integers
    ends_ns: Integers


@dataclass(slots=True)
class Pack:
    """Blocks of one signal, to be cut into requests."""

    signal: Signal
    head: Callable[[int, int], tuple[bytes, bytes]]
    """(unit, scope) -> (resource field, scope field)."""
    blocks: list[Block] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Take more records. Empty blocks are dropped."""
        if len(block.rows):
            self.blocks.append(block)

    def requests(self, records_each: int, every_ns: int | None = None) -> Iterator[Request]:
        """Cut, write and forget all blocks: earliest first.

        A request holds about `records_each` records by their start; or, with `every_ns`, what ended within
        so long.
        """
        if not self.blocks:
            return
        keys = [block.starts_ns if every_ns is None else block.ends_ns for block in self.blocks]
        together = np.concatenate(keys)
        edges = _edges(together, records_each) if every_ns is None else _ticks(together, every_ns)
        windows: list[dict[int, _Group]] = [{} for _ in range(len(edges) + 1)]
        due = np.zeros(len(edges) + 1, dtype=np.int64)
        for block, key in zip(self.blocks, keys, strict=True):
            window = np.searchsorted(edges, key, side="right")
            np.maximum.at(due, window, block.ends_ns)
            _slice(block, window, windows)
        self.blocks = []
        for number, groups in enumerate(windows):
            if groups:
                yield from self._written(groups, int(due[number]))

    def _written(self, groups: dict[int, _Group], due_ns: int) -> Iterator[Request]:
        """One request, or several where the bytes are too many for one."""
        whole = _Writing()
        for key in sorted(groups):
            unit, scope = divmod(key, SCOPE_LIMIT)
            resource_field, scope_field = self.head(unit, scope)
            if resource_field != whole.resource:
                whole.close_resource()
                if whole.size > MAX_REQUEST_BYTES:
                    yield Request(self.signal, b"".join(whole.parts), whole.items, due_ns)
                    whole = _Writing()
            whole.resource = resource_field
            whole.scopes.append(wire_field(2, scope_field + b"".join(groups[key].records)))
            whole.pending += groups[key].count
        whole.close_resource()
        yield Request(self.signal, b"".join(whole.parts), whole.items, due_ns)


@dataclass(slots=True)
class _Group:
    """Records of one unit and scope within a request."""

    count: int = 0
    records: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Writing:
    """A request being written."""

    resource: bytes = b""
    scopes: list[bytes] = field(default_factory=list)
    pending: int = 0
    parts: list[bytes] = field(default_factory=list)
    items: int = 0
    size: int = 0

    def close_resource(self) -> None:
        """Write what belongs to the current resource, if anything."""
        if not self.scopes:
            return
        payload = self.resource + b"".join(self.scopes)
        self.parts.append(b"\x0a" + varint(len(payload)) + payload)
        self.size += len(self.parts[-1])
        self.items += self.pending
        self.scopes, self.pending = [], 0


def _edges(starts_ns: Integers, records_each: int) -> Integers:
    """Where requests begin: every `records_each` records, and at each midnight."""
    ordered = np.sort(starts_ns)
    by_count = ordered[records_each::records_each]
    first, last = int(ordered[0]) // DAY_NS, int(ordered[-1]) // DAY_NS
    midnights = np.arange(first + 1, last + 1, dtype=np.int64) * DAY_NS
    return np.unique(np.concatenate([by_count, midnights]))


def _ticks(ends_ns: Integers, every_ns: int) -> Integers:
    """Every multiple of `every_ns` between the first and the last end."""
    return (
        np.arange(int(ends_ns.min()) // every_ns + 1, int(ends_ns.max()) // every_ns + 1, dtype=np.int64)
        * every_ns
    )


def _slice(block: Block, window: Integers, windows: list[dict[int, _Group]]) -> None:
    """Append the block's records to the groups they belong to, whole runs of bytes at a time."""
    keys = block.units * SCOPE_LIMIT + block.scope
    order = np.lexsort((block.starts_ns, keys, window))
    keys, window = keys[order], window[order]
    width = block.rows.shape[1]
    raw = block.rows[order].tobytes()
    cuts = np.flatnonzero((keys[1:] != keys[:-1]) | (window[1:] != window[:-1])) + 1
    bounds = [0, *cuts.tolist(), len(keys)]
    heads = np.concatenate([[0], cuts])
    for begin, end, key, where in zip(
        bounds[:-1], bounds[1:], keys[heads].tolist(), window[heads].tolist(), strict=True
    ):
        group = windows[where].get(key)
        if group is None:
            group = windows[where][key] = _Group()
        group.count += end - begin
        group.records.append(raw[begin * width : end * width])
