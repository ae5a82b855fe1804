"""A request on its way to the disk. `ingest.spool.spool` makes them, the writer thread resolves their
futures."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from ingest.signals import Signal
from ingest.spool.segment_format import (
    HEAD_BYTES,
    MAX_BODY_BYTES,
    MAX_ITEMS,
    MAX_RECEIVED_NS,
    MAX_TENANT_BYTES,
    memory_of,
)


@dataclass(slots=True)
class Pending:
    """A request that can be stored."""

    signal: Signal
    tenant: bytes
    body: bytes
    items: int
    received_ns: int
    digest: bytes = b""
    """By which it is to be recognised; empty if it is not."""
    reply: bytes = b""
    """What its sender will be told, if it is."""
    future: Future[int] = field(default_factory=Future)

    @property
    def memory(self) -> bytes:
        """What is kept with it to recognise it."""
        return memory_of(self.digest, self.reply)

    @property
    def size(self) -> int:
        """Bytes it will take on disk."""
        return HEAD_BYTES + len(self.tenant) + len(self.memory) + len(self.body)


def pending_of(signal: Signal, tenant: str, body: bytes, items: int, received_ns: int) -> Pending:
    """Raises ValueError or TypeError for what cannot be stored."""
    name = tenant.encode()
    if not isinstance(body, bytes):
        raise TypeError(f"a body is bytes, not {type(body).__name__}")
    if not isinstance(items, int) or not isinstance(received_ns, int):
        raise TypeError("items and received_ns are whole numbers")
    if len(body) > MAX_BODY_BYTES or len(name) > MAX_TENANT_BYTES or not 0 <= items <= MAX_ITEMS:
        raise ValueError(
            f"a record takes a body of {MAX_BODY_BYTES} bytes, a tenant of {MAX_TENANT_BYTES} and "
            f"{MAX_ITEMS} items at most; got {len(body)}, {len(name)} and {items}"
        )
    if not 0 <= received_ns <= MAX_RECEIVED_NS:
        raise ValueError(f"{received_ns} is no time in ns since 1970")
    return Pending(signal, name, body, items, received_ns)
