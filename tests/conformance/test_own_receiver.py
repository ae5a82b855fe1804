"""Lowtide's own receiver under the suite: what it fails is known, and docs/conformance.md says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.launcher import Running

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
KNOWN = {"grpc.coding.unknown", "grpc.content-type.unknown"}
"""Both are answered by gRPC's core before Lowtide is asked; see the page."""


@pytest.fixture(scope="module")
def served(launching: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with launching(tmp_path_factory.mktemp("conformance")) as launcher:
        yield launcher.serve()


@pytest.fixture(scope="module")
def verdict(served: Running) -> dict[str, Any]:
    """The whole suite from the command line, as a stranger would run it."""
    ready = served.wait_ready()
    done = subprocess.run(
        [sys.executable, "-m", "lowtide", "conformance", "otlp", ready["otlp_http"],
         "--grpc", ready["otlp_grpc"], "--large", "--json", "--timeout", "60"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout)


@pytest.mark.process
def test_it_fails_what_it_is_known_to_fail_and_nothing_else(verdict: dict[str, Any]) -> None:
    failed = {
        result["id"]: result["observed"] for result in verdict["results"] if result["outcome"] == "fail"
    }

    assert set(failed) == KNOWN, failed
    unjudged = {result["id"] for result in verdict["results"] if result["outcome"] == "not judged"}
    assert unjudged == {"grpc.coding.named", "http.retry-after"}


@pytest.mark.process
def test_the_page_has_the_score(verdict: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    row = re.search(r"^\| Lowtide \|(.*)\|$", page, re.MULTILINE)

    assert row is not None
    expected = [
        f"{level['passed']} of {level['passed'] + level['failed']}" for level in verdict["summary"][:2]
    ]
    assert [cell.strip() for cell in row[1].split("|")[:2]] == expected
    assert all(f"`{name}`" in page for name in KNOWN)
