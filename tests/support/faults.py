"""How often the tests of faults try, and what they have tried. Read by those tests and by tests/conftest.py.

Without anything set they are short and the same each time. `LOWTIDE_FAULTS=1` is the long form, as `make
faults` runs it, 0.1 a tenth of that; `LOWTIDE_FAULTS_SEED` draws other faults.

The trap: count with `done` inside a test, not at import; what a test adds there is printed at the end.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

SHARE_VARIABLE: Final = "LOWTIDE_FAULTS"
SEED_VARIABLE: Final = "LOWTIDE_FAULTS_SEED"
_share: Final = os.environ.get(SHARE_VARIABLE, "")
LONG: Final = bool(_share)
SEED: Final = int(os.environ.get(SEED_VARIABLE, "2026"))

done: Final[Counter[str]] = Counter()
"""What was tried in this process, in words."""


def times(short: int, long: int) -> int:
    """`short`, or in the long form so much of `long` as was asked for, but never less than `short`."""
    return max(short, round(long * float(_share))) if LONG else short
