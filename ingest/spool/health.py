"""What all parts of an open spool share: its files, its metrics, the place for damaged bytes, and whether it
has failed.

After a failed write or fsync nobody knows what is on the disk, and asking again would get a false "yes": the
kernel forgets a failed page. So the spool stops for good, and only opening it anew finds out what is there.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from ingest.signals import Signal
from ingest.spool.errors import SpoolFailedError
from ingest.spool.files import Files, read_exactly, write_all
from ingest.spool.telemetry import SpoolMetrics

log = structlog.get_logger(__name__)
DAMAGED_NAME = "damaged"


class Health:
    """Whether the spool still takes anything."""

    def __init__(self) -> None:
        self.reason = ""
        """Why it has failed; empty while it has not."""
        self.closed = False
        """Its files are closed, and their handles may mean other files by now."""

    @property
    def usable(self) -> bool:
        """Whether anything may be written."""
        return not self.reason and not self.closed

    def check(self) -> None:
        """Raises SpoolFailedError once the spool has failed or was closed."""
        if self.closed:
            raise SpoolFailedError("the spool is closed; open it anew")
        if self.reason:
            raise SpoolFailedError(
                f"the spool takes nothing more: {self.reason}; repair the disk, then start anew"
            )

    def failed(self, what: str, error: BaseException) -> SpoolFailedError:
        """Stop for good; returns the error to raise."""
        if not self.reason:
            self.reason = f"{what}: {error}"
            log.critical("The spool has failed and takes nothing more", what=what, error=str(error))
        failure = SpoolFailedError(f"{what}: {error}; repair the disk, then start anew")
        failure.__cause__ = error
        return failure


class Vault:
    """Keeps bytes that could not be read as records, for a person to look at. Each is kept once."""

    def __init__(self, files: Files, folder: Path, metrics: SpoolMetrics) -> None:
        self._files = files
        self._folder = folder
        self._metrics = metrics
        self._lock = threading.Lock()
        self._seen: set[Path] = set()
        self.kept_bytes = sum(p.stat().st_size for p in folder.iterdir()) if folder.is_dir() else 0
        """They count towards the spool's limit."""

    def keep(self, signal: Signal, segment: Path, start: int, end: int) -> None:
        """Copy a piece of a segment. The segment itself stays as it is until it is trimmed."""
        target = self._folder / f"{signal.value}-{segment.stem}-{start}.bin"
        with self._lock:
            if target in self._seen or target.exists():
                return
            self._seen.add(target)
        self._metrics.damaged(signal, end - start)
        log.error(
            "Damaged bytes in the spool were set aside",
            signal=signal.value, segment=segment.name, offset=start, size_bytes=end - start,
            kept_in=str(target),
        )  # fmt: skip
        try:
            self._files.mkdir(self._folder)
            self._copy(segment, start, end, target)
        except OSError as error:
            # The original is still in the segment, and reading must go on.
            log.warning("Damaged bytes could not be copied", kept_in=str(target), error=str(error))
        else:
            with self._lock:
                self.kept_bytes += end - start

    def move(self, signal: Signal, segment: Path) -> None:
        """Put a segment away as a whole. Raises OSError."""
        size = segment.stat().st_size
        target = self._folder / f"{signal.value}-{segment.name}"
        self._files.mkdir(self._folder)
        self._files.rename(segment, target)
        self._files.sync_directory(self._folder)
        self._metrics.damaged(signal, size)
        with self._lock:
            self.kept_bytes += size
        log.error(
            "A segment of the spool is damaged as a whole and was set aside",
            signal=signal.value, segment=segment.name, size_bytes=size, kept_in=str(target),
        )  # fmt: skip

    def _copy(self, segment: Path, start: int, end: int, target: Path) -> None:
        source = self._files.open_read(segment)
        try:
            data = read_exactly(self._files, source, end - start, start)
        finally:
            self._files.close(source)
        copy = self._files.create(target)
        try:
            write_all(self._files, copy, [data])
            self._files.sync(copy)
        except OSError:
            self._files.unlink(target)
            raise
        finally:
            self._files.close(copy)
        self._files.sync_directory(self._folder)
