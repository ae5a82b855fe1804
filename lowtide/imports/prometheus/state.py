"""How far an import has come, in a file of its own that is replaced as a whole after each step.

It holds which pieces are to come, and not only up to where: the same pieces are asked for after a kill, so
that what was under way is sent again in the same bytes, which Lowtide recognises.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from lowtide.imports.prometheus.errors import StateError
from lowtide.tokens.file import write_private
from lowtide.tokens.token import DEFAULT_TENANT

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be imported: never changes while an import lasts."""

    url: str
    since_ms: int
    until_ms: int
    match: tuple[str, ...] = ()
    all_series: bool = False
    receiver: str = ""
    """Whose data directory, or which address, it goes to."""
    tenant: str = DEFAULT_TENANT
    """Whose rows they become there."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples of all series of some names in `(from, to]`."""

    from_ms: int
    to_ms: int
    names: tuple[str, ...]


@dataclass(slots=True)
class Totals:
    """What was done so far, over all runs."""

    samples: int = 0
    refused: int = 0
    histograms: int = 0


@dataclass(slots=True)
class State:
    """Of one import."""

    order: Order
    described: dict[str, tuple[str, str, str]]
    """Type, help and unit by family, as they were at the beginning."""
    planned_to_ms: int
    """Up to where there are chunks."""
    chunks: list[Chunk] = field(default_factory=list)
    """Those that are not yet imported, the first of them perhaps in part."""
    totals: Totals = field(default_factory=Totals)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return not self.chunks and self.planned_to_ms >= self.order.until_ms

    def save(self, path: Path) -> None:
        """Replace the file durably."""
        try:
            write_private(path, json.dumps({"format": FORMAT, **asdict(self)}).encode())
        except OSError as error:
            raise StateError(f"The state of the import cannot be written: {error}.") from error


def read_state(path: Path) -> State | None:
    """What is there; None if nothing is. Raises StateError."""
    try:
        found: Any = json.loads(path.read_bytes())
        _refuse_format(found.pop("format"))
        order = found.pop("order")
        return State(
            order=Order(**{**order, "match": tuple(order["match"])}),
            described={name: tuple(texts) for name, texts in found.pop("described").items()},
            chunks=[Chunk(**{**chunk, "names": tuple(chunk["names"])}) for chunk in found.pop("chunks")],
            totals=Totals(**found.pop("totals")),
            **found,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{path} is no state of an import: {error}.", hint="Name another file with --state."
        ) from error


def _refuse_format(number: object) -> None:
    if number != FORMAT:
        raise ValueError("it is of another version of Lowtide")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Nobody else imports with this file meanwhile. Raises StateError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"Another process imports with {path}.",
                hint="Wait for it, or name another file with --state.",
            ) from error
        yield
    finally:
        os.close(descriptor)
