"""Targets from files, as Prometheus reads them with `file_sd_configs`: lists of `targets` and `labels`, in
JSON or YAML. `collector.scrape.scraper` looks again and again. In YAML a number is the text that stands
there, as in Prometheus.

The trap: a file is written while we look, or by somebody who made a mistake. A file that cannot be read keeps
its last good targets; one that is gone has none.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from collector.scrape.targets import Group, checked_group
from ingest.yaml_lines import MAX_BYTES, YamlError, plain, read_yaml

log = structlog.get_logger(__name__)


class TargetFileError(Exception):
    """A file of targets cannot be used; says where and why."""


@dataclass(frozen=True, slots=True)
class _Seen:
    mark: tuple[int, int, int]
    """Of the file when it was read last: inode, size, time of change."""
    groups: tuple[Group, ...]
    """The last good ones."""


class TargetFiles:
    """The files of one job."""

    def __init__(self, patterns: Iterable[str], failed: Callable[[], None]) -> None:
        """`failed` is called for each reading that fails."""
        self._patterns = tuple(str(Path(pattern).expanduser()) for pattern in patterns)
        self._failed = failed
        self._seen: dict[str, _Seen] = {}

    def look(self) -> list[Group]:
        """All groups of targets there are now. Reads files that have changed; may block."""
        paths = sorted({path for pattern in self._patterns for path in glob.glob(pattern)})  # noqa: PTH207 - absolute patterns
        self._seen = {path: self._look_at(path) for path in paths}
        return [group for seen in self._seen.values() for group in seen.groups]

    def _look_at(self, path: str) -> _Seen:
        before = self._seen.get(path)
        mark = (0, 0, 0)
        try:
            status = Path(path).stat()
            mark = (status.st_ino, status.st_size, status.st_mtime_ns)
            if before is not None and before.mark == mark:
                return before
            return _Seen(mark, read_groups(Path(path)))
        except (OSError, TargetFileError) as error:
            if before is None or before.mark != mark:
                self._failed()
                log.warning("A file of targets cannot be used; its last good targets stay", error=str(error))
            return _Seen(mark, before.groups if before is not None else ())


def read_groups(path: Path) -> tuple[Group, ...]:
    """The groups of targets in a file. Raises OSError or TargetFileError."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise TargetFileError(f"{path} is larger than {MAX_BYTES >> 20} MiB; share it out to several files")
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text) if path.suffix == ".json" else plain(read_yaml(text, str(path)))
    except YamlError as error:
        raise TargetFileError(str(error.problems[0])) from error
    except (ValueError, RecursionError) as error:
        raise TargetFileError(f"{path}: {error}") from error
    if found is None:
        raise TargetFileError(f"{path} is empty, as files are while they are written; [] means no targets")
    if not isinstance(found, list):
        raise TargetFileError(f"{path}: must be a list of tables with `targets` and `labels`")
    return tuple(_group(path, number, one) for number, one in enumerate(found))


def _group(path: Path, number: int, one: Any) -> Group:
    place = f"{path}, entry {number + 1}"
    if not isinstance(one, dict) or set(one) - {"targets", "labels"}:
        raise TargetFileError(f"{place}: must be a table with `targets` and `labels`, and nothing else")
    targets, labels = one.get("targets") or [], one.get("labels") or {}
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise TargetFileError(f"{place}, targets: must be a list of texts host:port")
    if not isinstance(labels, dict) or not all(isinstance(part, str) for part in (*labels, *labels.values())):
        raise TargetFileError(f"{place}, labels: must be a table of texts; numbers take quotes")
    try:
        return checked_group(Group(tuple(targets), labels))
    except ValueError as error:
        raise TargetFileError(f"{place}: {error}") from error
