"""What is documented is what is looked for."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from ingest.inventory.kinds import ASKED_FOR, KINDS, NEVER_KEPT
from lowtide.imports.kubernetes import kubernetes

PAGE = Path(__file__).parents[3] / "docs" / "sources.md"


def plural(kind: str) -> str:
    """As kubectl takes it."""
    lower = kind.lower()
    return lower + ("es" if lower.endswith("s") else "s")


@pytest.mark.parametrize("text", [inspect.getdoc(kubernetes), PAGE.read_text()], ids=["help", "page"])
def test_the_documented_command_asks_for_every_kind_that_is_looked_for(text: str) -> None:
    together = text.replace("\\\\\n", "").replace("\\\n", "")
    found = re.search(r"kubectl get -A -o json ([a-z,]+)", together)

    assert found is not None
    assert found[1].split(",") == [plural(kind) for kind in ASKED_FOR]


def test_every_kind_that_is_looked_for_is_understood_and_no_other_is_dropped() -> None:
    assert set(ASKED_FOR) <= {kind for _, kind in KINDS}
    assert KINDS.keys().isdisjoint(NEVER_KEPT)
