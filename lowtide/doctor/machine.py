"""The machine: disk, fsync, clock, limits. Facts are gathered by `*_facts`, judged by `check_*`, which touch
nothing.

The trap: a container sees the machine's memory but may not have it, so its control group's limit counts.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lowtide.doctor.findings import Finding, ok, problem, warning
from lowtide.units import duration, instant, share, size

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
_PASSING: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_ELSEWHERE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs"})
_SLOW_FSYNC_S: Final = 0.1
_LEAST_FREE_SHARE: Final = 0.05
_LEAST_FILES: Final = 1024
_GOOD_FILES: Final = 8192
_LEAST_MEMORY: Final = GIB
_GOOD_MEMORY: Final = 2 * GIB
_BUILT_NS: Final = 1_735_689_600 * 10**9
"""2025: no clock that is right shows an earlier time."""
_AHEAD_NS: Final = 2 * 10**9
_TIME_ERROR: Final = 5


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A file system of ours."""

    folder: Path
    kind: str
    """As mount(8) says it; empty if unknown."""
    total_bytes: int
    free_bytes: int
    files_free: int | None
    """None where files are not counted."""
    may_grow_bytes: int
    """What the spool may still take there."""


def disk_facts(folder: Path, may_grow_bytes: int) -> DiskFacts:
    """The file system that holds a folder. Raises OSError."""
    found = os.statvfs(folder)
    return DiskFacts(
        folder=folder,
        kind=_kind_of(folder.resolve(), Path("/proc/self/mountinfo")),
        total_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        files_free=found.f_favail if found.f_files else None,
        may_grow_bytes=may_grow_bytes,
    )


def _kind_of(folder: Path, mounts: Path) -> str:
    """The kind of the file system that is mounted nearest above a folder."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        place = Path(fields[4].replace("\\040", " "))
        if (folder == place or place in folder.parents) and len(place.parts) >= best:
            best, kind = len(place.parts), after.split(" ")[0]
    return kind


def check_disk(facts: DiskFacts) -> list[Finding]:
    """Room and kind."""
    free = f"{size(facts.free_bytes)} of {size(facts.total_bytes)} free on the disk of {facts.folder}"
    part = facts.free_bytes / max(facts.total_bytes, 1)
    found = []
    if part < _LEAST_FREE_SHARE or facts.free_bytes < GIB:
        found.append(
            problem("disk", f"Only {free} ({share(part)}).", "Make room, or shorten store.retention.")
        )
    elif facts.free_bytes < facts.may_grow_bytes:
        found.append(
            warning(
                "disk",
                f"{free}, less than the {size(facts.may_grow_bytes)} the spool may still grow by.",
                "Make room, or lower spool.limit_bytes, so that senders are told to wait before the disk is "
                "full.",
            )
        )
    else:
        found.append(ok("disk", f"{free} ({facts.kind or 'unknown kind'})."))
    if facts.files_free is not None and facts.files_free < 10_000:
        found.append(
            problem(
                "disk",
                f"The file system has only {facts.files_free} files (inodes) left.",
                "Remove small files elsewhere on it, or use one with more.",
            )
        )
    return found + _check_kind(facts)


def _check_kind(facts: DiskFacts) -> list[Finding]:
    if facts.kind in _PASSING:
        what = f"{facts.folder} lies in memory ({facts.kind}): a restart of the machine takes it away."
        return [problem("disk", what, "Put the data directory on a disk.")]
    if facts.kind in _ELSEWHERE:
        what = (
            f"{facts.folder} lies on a network file system ({facts.kind}), whose locks and fsync may promise "
            "less."
        )
        return [warning("disk", what, "Put the data directory on a disk of this machine.")]
    if facts.kind == "overlay":
        what = f"{facts.folder} lies in the container's own layer, which goes with the container."
        return [warning("disk", what, "Mount a volume there.")]
    return []


@dataclass(frozen=True, slots=True)
class FsyncFacts:
    """How long the disk takes to make a little durable."""

    folder: Path
    median_s: float | None
    """None if it failed."""
    error: str = ""


def fsync_facts(folder: Path) -> FsyncFacts:
    """Try it on a file without a name, so that nothing can stay; where there is no such, on the folder."""
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return FsyncFacts(folder, None, error.strerror or str(error))
    took = []
    try:
        for number in range(5):
            # A folder cannot be written to, and is synced as it is.
            with suppress(OSError):
                os.pwrite(handle, bytes(4096), number * 4096)
            began = time.perf_counter()
            os.fsync(handle)
            took.append(time.perf_counter() - began)
    except OSError as error:
        return FsyncFacts(folder, None, error.strerror or str(error))
    finally:
        os.close(handle)
    return FsyncFacts(folder, sorted(took)[2])


def check_fsync(facts: FsyncFacts) -> list[Finding]:
    """Whether it works, and how long it takes: every acknowledgement waits for one."""
    if facts.median_s is None:
        what = f"{facts.folder} cannot be made durable: {facts.error}."
        return [problem("fsync", what, "Check the disk (dmesg), and whether it is mounted read-only.")]
    what = f"An fsync in {facts.folder} takes {duration(facts.median_s)}"
    if facts.median_s > _SLOW_FSYNC_S:
        return [
            warning(
                "fsync", f"{what}; every acknowledgement waits for one.", "Use a faster or less busy disk."
            )
        ]
    return [ok("fsync", f"{what}.")]


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The clock, beside what it showed before. All in ns since 1970."""

    now_ns: int
    newest_ns: int
    """The latest time that the spool has noted; 0 if none."""
    is_synchronised: bool | None
    """By NTP or the like, as the kernel sees it; None if it cannot be asked."""


def clock_facts(newest_ns: int) -> ClockFacts:
    """The clock now."""
    return ClockFacts(time.time_ns(), newest_ns, _is_synchronised())


def _is_synchronised() -> bool | None:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "adjtimex"):
        return None
    # struct timex with nothing to change: larger than it is anywhere, all zeros.
    state = library.adjtimex(ctypes.create_string_buffer(512))
    return None if state < 0 else state != _TIME_ERROR


def check_clock(facts: ClockFacts) -> list[Finding]:
    """Telemetry is refused by its own time, batches are named after ours."""
    now = instant(datetime.fromtimestamp(facts.now_ns // 10**9, UTC))
    found = []
    if facts.now_ns < _BUILT_NS:
        found.append(problem("clock", f"The clock says {now}.", "Set it; telemetry of today is refused."))
    if facts.newest_ns > facts.now_ns + _AHEAD_NS:
        behind_s = (facts.newest_ns - facts.now_ns) / 10**9
        found.append(
            problem(
                "clock",
                f"The clock says {now}, {duration(behind_s)} before what the spool has noted: it was set "
                "back.",
                "Set it right, and let a time service keep it. Nothing is lost by it.",
            )
        )
    if facts.is_synchronised is False:
        found.append(
            warning(
                "clock",
                "The kernel does not know of anything that keeps the clock right.",
                "Run chrony, systemd-timesyncd or another NTP client; in a container, on its host.",
            )
        )
    return found or [ok("clock", f"The clock says {now} and did not jump back.")]


@dataclass(frozen=True, slots=True)
class LimitFacts:
    """What the process may have."""

    open_files: int
    memory_bytes: int
    is_server: bool
    """Of the running server; else of this command, as a server started from here would have them."""


def limit_facts(pid: int | None) -> LimitFacts:
    """The limits of a process, or of this one. Raises OSError."""
    lines = Path(f"/proc/{pid or 'self'}/limits").read_text(encoding="ascii").splitlines()
    files = next(line.split()[3] for line in lines if line.startswith("Max open files"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = Path(f"/proc/{pid or 'self'}/cgroup").read_text(encoding="utf-8")
    limit = _group_limit(groups, Path("/sys/fs/cgroup"))
    return LimitFacts(
        2**63 - 1 if files == "unlimited" else int(files), min(memory, limit or memory), pid is not None
    )


def _group_limit(groups: str, root: Path) -> int | None:
    """The least memory limit of a process's control group and those above it; None if there is none."""
    limits = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        top, name = root, "memory.max"
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            top, name = root / "memory", "memory.limit_in_bytes"
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            with suppress(OSError, ValueError):
                limits.append(int((folder / name).read_text()))
            if folder == top:
                break
    return min(limits, default=None)


def check_limits(facts: LimitFacts) -> list[Finding]:
    """Every part of a table is open files, every batch is memory."""
    whose = "The server" if facts.is_server else "A server started from here"
    found = []
    if facts.open_files < _GOOD_FILES:
        judge = problem if facts.open_files < _LEAST_FILES else warning
        found.append(
            judge(
                "limits",
                f"{whose} may open {facts.open_files} files.",
                f"Allow {_GOOD_FILES} or more: `ulimit -n`, or LimitNOFILE= of its systemd unit.",
            )
        )
    if facts.memory_bytes < _GOOD_MEMORY:
        judge = problem if facts.memory_bytes < _LEAST_MEMORY else warning
        found.append(
            judge(
                "limits",
                f"{whose} may take {size(facts.memory_bytes)} of memory.",
                f"Give it {size(_GOOD_MEMORY)}, or lower loader.batch_bytes and collector limits.",
            )
        )
    files = "any number of" if facts.open_files > 2**40 else f"{facts.open_files:,}"
    return found or [ok("limits", f"{whose} may open {files} files and take {size(facts.memory_bytes)}.")]
