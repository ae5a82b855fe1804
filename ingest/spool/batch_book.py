"""What is known of the batches, without the file: entries go in, questions are answered.

`ingest.spool.batches` feeds it from the log, `ingest.spool.inspect` from a log that another process writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingest.signals import Signal
from ingest.spool.batch_format import NO_BOOT, Entry, Kind, parts_of
from ingest.spool.records import Batch


@dataclass(slots=True)
class Item:
    """A batch of which the store is not yet known to be safe."""

    begun: Entry
    finished: bool = False
    finished_boot: bytes = NO_BOOT
    finish_number: int = 0
    """Finishes are counted, so that a mark can say which of them came before it."""
    safe: bool = False

    def is_finished_by(self, mark: int) -> bool:
        """Whether it was finished before a mark was taken."""
        return self.finished and self.finish_number <= mark


@dataclass(slots=True)
class SignalBook:
    """The batches of one signal."""

    safe_seq: int = 0
    """All records up to here are stored for good."""
    cursor: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    """By batch id."""


class Book:
    """The batches of all signals."""

    def __init__(self) -> None:
        self.last_id = 0
        self.finishes = 0
        self.strange = 0
        """Entries about batches of which nothing else is known."""
        self._signals = {signal: SignalBook() for signal in Signal}

    def apply(self, entry: Entry) -> None:
        """Take an entry in, in the order of the log."""
        book = self._signals[entry.signal]
        self.last_id = max(self.last_id, entry.batch_id)
        book.cursor = max(book.cursor, entry.last_seq)
        if entry.kind is Kind.FLOOR:
            book.safe_seq = max(book.safe_seq, entry.first_seq)
            return
        if entry.last_seq <= book.safe_seq:
            return
        if entry.kind is Kind.SPLIT:
            self._split(book, entry)
            return
        item = book.items.get(entry.batch_id)
        if item is None:
            if entry.kind is not Kind.BEGUN:
                self.strange += 1
            item = book.items[entry.batch_id] = Item(entry._replace(kind=Kind.BEGUN))
        if entry.kind is Kind.FINISHED:
            self.finishes += 1
            item.finished, item.finished_boot = True, entry.boot_id
            item.finish_number = self.finishes
        elif entry.kind is Kind.SAFE:
            item.finished = item.safe = True
            self._advance(book)

    def _split(self, book: SignalBook, entry: Entry) -> None:
        """Two batches take the place of one."""
        item = book.items.pop(entry.batch_id, None)
        if item is None:
            self.strange += 1
        begun = Entry(Kind.BEGUN, *entry[1:5]) if item is None else item.begun
        for part in parts_of(entry, begun):
            self.last_id = max(self.last_id, part.batch_id)
            book.items.setdefault(part.batch_id, Item(part))

    def _advance(self, book: SignalBook) -> None:
        """Forget the batches at the front that are safe. The end of the front is where trimming may go: not
        beyond a record of which another piece is not safe yet."""
        safe_seq, front = _front(book, lambda item: item.safe)
        for item in front:
            del book.items[item.begun.batch_id]
        book.safe_seq = safe_seq

    def distrust(self, boot_id: bytes) -> int:
        """After another boot of the machine, a finished batch may be missing in the store unless it is known
        to be safe: it counts as unfinished again. Returns how many do."""
        count = 0
        for _, item in self._all():
            if item.finished and not item.safe and not same_boot(item.finished_boot, boot_id):
                item.finished = False
                count += 1
        return count

    def raise_cursor(self, signal: Signal, seq: int) -> None:
        """Nothing up to a record can be read any more, whatever the log says."""
        self._signals[signal].cursor = max(self._signals[signal].cursor, seq)

    def cursor(self, signal: Signal) -> int:
        """The last record that belongs to a batch."""
        return self._signals[signal].cursor

    def safe_seq(self, signal: Signal) -> int:
        """All records up to here are stored for good."""
        return self._signals[signal].safe_seq

    def trusts(self, signal: Signal) -> bool:
        """Whether a batch counts as stored though it is not known to be safe."""
        return any(item.finished and not item.safe for item in self._signals[signal].items.values())

    def safe_seq_by(self, signal: Signal, mark: int) -> int:
        """What `safe_seq` will be once everything finished before a mark is safe."""
        return _front(self._signals[signal], lambda item: item.safe or item.is_finished_by(mark))[0]

    def item(self, batch: Batch) -> Item | None:
        """What is known of a batch; None once it is safe, or was never begun."""
        return self._signals[batch.signal].items.get(batch.batch_id)

    def unfinished(self, signal: Signal | None = None) -> list[Entry]:
        """How the unfinished batches began, in order."""
        return sorted(
            (item.begun for of, item in self._all() if not item.finished and signal in (None, of)),
            key=lambda entry: entry.batch_id,
        )

    def before_reboot(self, signal: Signal, boot_id: bytes) -> int:
        """How many unfinished batches were begun during another boot of the machine."""
        return sum(not same_boot(entry.boot_id, boot_id) for entry in self.unfinished(signal))

    def finished_by(self, mark: int) -> list[Item]:
        """Batches finished before a mark was taken and not yet known to be safe."""
        return [item for _, item in self._all() if not item.safe and item.is_finished_by(mark)]

    def oldest_unsafe_id(self) -> int | None:
        """The first batch that is begun and not known to be stored for good; None if there is none."""
        return min((item.begun.batch_id for _, item in self._all() if not item.safe), default=None)

    def gaps(self, signal: Signal) -> Iterator[tuple[int, int]]:
        """Numbers before the cursor that no batch has: an entry of the log is gone, or the records are."""
        book = self._signals[signal]
        expected = book.safe_seq + 1
        for item in _in_order(book):
            begun = item.begun
            if begun.first_seq > expected:
                yield expected, begun.first_seq - 1
            expected = max(expected, begun.last_seq + 1)

    def entries(self) -> Iterator[Entry]:
        """The least entries that say all this, for a new file."""
        for signal, book in self._signals.items():
            yield Entry(Kind.FLOOR, signal, self.last_id, book.safe_seq, book.cursor)
        for _, item in sorted(self._all(), key=lambda pair: pair[1].finish_number):
            yield item.begun
            if item.finished:
                yield item.begun._replace(kind=Kind.FINISHED, boot_id=item.finished_boot)
            if item.safe:
                yield item.begun._replace(kind=Kind.SAFE)

    def _all(self) -> Iterator[tuple[Signal, Item]]:
        for signal, book in self._signals.items():
            for item in book.items.values():
                yield signal, item


def _in_order(book: SignalBook) -> list[Item]:
    """By record, not by id: a batch that fills a gap has a later id than its neighbours."""
    return sorted(book.items.values(), key=lambda item: (item.begun.first_seq, item.begun.first_piece))


def _front(book: SignalBook, is_over: Callable[[Item], bool]) -> tuple[int, list[Item]]:
    """The batches before the first that is not over, and the record up to which all is in them."""
    front: list[Item] = []
    safe_seq = book.safe_seq
    for item in _in_order(book):
        if not is_over(item):
            return max(book.safe_seq, min(safe_seq, item.begun.first_seq - 1)), front
        front.append(item)
        safe_seq = max(safe_seq, item.begun.last_seq)
    return safe_seq, front


def same_boot(one: bytes, other: bytes) -> bool:
    """Whether two boots are known to be the same."""
    return one == other and one != NO_BOOT
