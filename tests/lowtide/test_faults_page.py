"""docs/faults.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


def test_it_names_many() -> None:
    assert len(NAMED) > 50
    assert all(f"`{path}" in PAGE for path in ("tests/serve/test_kills.py", "tests/support/oracle.py"))
    assert PAGE.count("`tests/") == len(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_exists(path: str, name: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not name or re.search(rf"(?m)^\s*(async def|def|class) {name}\b|^{name} = ", source)
