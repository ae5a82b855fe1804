"""Reads a dump of a cluster while it comes in, and keeps what is needed of it in memory, within bounds.

    reading = Reading("cluster.json")
    for piece in pieces: reading.feed(piece)
    snapshot = reading.finish()

Nothing is written anywhere: what is not kept, Secrets above all, was only ever in the memory of a piece. The
trap: the same object may come twice (documents that overlap); the last one counts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingest.inventory.documents import MOST_OBJECT_CHARACTERS, Documents, Item
from ingest.inventory.errors import MOST_PROBLEMS, InventoryError, InventoryTooLargeError
from ingest.inventory.objects import BadObjectError, KubernetesObject, NotKept, read_object
from ingest.inventory.unpacking import Unpacking

MOST_UNPACKED_BYTES: Final = 4 * 1024**3
"""Of what a dump unpacks to; read once, never in memory as a whole."""
MOST_KEPT_BYTES: Final = 256 * 1024**2
"""Of what is kept of its objects until they are stored: some 120,000 pods."""
_OBJECT_BYTES: Final = 500
"""What Python takes for an object beside its texts, about."""
Kind = tuple[str, str]
"""API group and kind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a dump is taken."""

    unpacked_bytes: int = MOST_UNPACKED_BYTES
    kept_bytes: int = MOST_KEPT_BYTES
    object_characters: int = MOST_OBJECT_CHARACTERS


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A dump that is in order, each object once."""

    name: str
    digest: str
    objects: Sequence[KubernetesObject]
    left_out: Counter[Kind]
    """Objects of which nothing is kept."""
    repeated: int


class Reading:
    """A dump that is being read."""

    def __init__(self, name: str, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._name, self._kept_limit_bytes = name, limits.kept_bytes
        self._digest = hashlib.sha256()
        self._unpacking = Unpacking(name, limits.unpacked_bytes)
        self._documents = Documents(name, limits.object_characters)
        self._objects: dict[tuple[str, str, str, str], KubernetesObject] = {}
        self._left_out: Counter[Kind] = Counter()
        self._problems: list[str] = []
        self._repeated = 0
        self._kept_bytes = 0

    def feed(self, piece: bytes) -> None:
        """The next bytes. Raises InventoryError once it makes no sense to read on."""
        self._digest.update(piece)
        for text in self._unpacking.feed(piece):
            for item in self._documents.feed(text):
                self._add(item)

    def finish(self) -> Snapshot:
        """All of it. Raises InventoryError with everything that is wrong."""
        for item in self._documents.feed(self._unpacking.finish()):
            self._add(item)
        for item in self._documents.finish():
            self._add(item)
        if self._problems:
            raise InventoryError(self._problems)
        if not self._objects:
            raise InventoryError([f"{self._name}: there is no object in it that could be kept"])
        return Snapshot(
            self._name,
            self._digest.hexdigest(),
            tuple(self._objects.values()),
            self._left_out,
            self._repeated,
        )

    def _add(self, item: Item) -> None:
        try:
            found = read_object(item)
        except BadObjectError as error:
            where = f"{self._name}:{item.line}" + ("" if item.index is None else f": items[{item.index}]")
            self._problems += [f"{where}: {problem}" for problem in error.problems]
            if len(self._problems) >= MOST_PROBLEMS:
                more = f"{self._name}: and perhaps more; it was read until there"
                raise InventoryError([*self._problems[:MOST_PROBLEMS], more]) from error
            return
        if isinstance(found, NotKept):
            self._left_out[found.group, found.kind] += 1
            return
        key = (found.group, found.kind, found.namespace, found.name)
        self._repeated += key in self._objects
        self._objects[key] = found
        labels = sum(len(name) + len(value) for name, value in found.labels.items())
        texts = (*key, found.version, found.uid, found.owner_kind, found.owner_name, found.extract)
        self._kept_bytes += _OBJECT_BYTES + sum(map(len, texts)) + labels
        if self._kept_bytes > self._kept_limit_bytes:
            said = (
                f"until here there are {len(self._objects)} objects, and more is needed of them than is kept "
                f"of a snapshot ({self._kept_limit_bytes} bytes)"
            )
            raise InventoryTooLargeError([f"{self._name}:{item.line}: {said}"])
