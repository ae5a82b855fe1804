"""Memory at hand, for a measurement on a virtual machine that is given its memory only as it touches it.

    python -m bench.at_hand MIB      hold so much, and give it back as fast as others need it

Some hypervisors take back what a guest leaves free for a few seconds. Whatever touches memory anew then - a
file that grows, a process that does - pays for the way to the host, and a server under a load that has just
begun does little else. That is a property of the machine, and passes after some minutes on one that is used.
So a process of its own touches memory beforehand and gives back of it what is taken from the free memory
meanwhile. The result says what touching cost.
"""

from __future__ import annotations

import mmap
import re
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MIB: Final = 6 * 1024
"""What the longest load takes: the spool, the store's files, and two processes."""
_CHUNK_MIB: Final = 16
_LOOK_S: Final = 0.01
_FREE: Final = re.compile(r"^MemFree: +(\d+) kB$", re.MULTILINE)


class AtHand:
    """Use it in a `with` block around what is measured."""

    def __init__(self, mib: int = MIB) -> None:
        self._mib = mib
        self.touch_us_per_page = 0.0
        """What 4 KiB cost that had to come from the host; 0.1 or 0.2 where they are there already."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.at_hand", str(self._mib)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        took_s = float(self._process.stdout.readline())
        self.touch_us_per_page = round(1e6 * took_s / (self._mib * 256), 2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


def hold(mib: int) -> None:
    """Say how many seconds touching took, then keep the free memory as it is now until none is left."""
    started = time.monotonic()
    chunks = deque(_touched(_CHUNK_MIB) for _ in range(mib // _CHUNK_MIB))
    print(time.monotonic() - started, flush=True)
    least_mib = _free_mib()
    while chunks:
        for _ in range((least_mib - _free_mib()) // _CHUNK_MIB):
            if chunks:
                chunks.pop().close()
        time.sleep(_LOOK_S)


def _touched(mib: int) -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    return mmap.mmap(-1, mib * 2**20, flags=flags)


def _free_mib() -> int:
    found = _FREE.search(Path("/proc/meminfo").read_text(encoding="ascii"))
    if found is None:
        raise RuntimeError("/proc/meminfo does not say how much memory is free")
    return int(found[1]) // 1024


if __name__ == "__main__":
    hold(int(sys.argv[1]))
