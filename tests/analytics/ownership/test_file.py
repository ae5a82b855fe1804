"""The file at start-up and when it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from analytics.errors import OwnershipError
from analytics.ownership.file import OwnershipFile


def written(path: Path, text: str) -> Path:
    """The file anew, as an editor or a ConfigMap puts it there; its time is another than before."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))
    return path


def teams(file: OwnershipFile) -> list[str | None]:
    return [placed.rule.team for placed in file.now().rules.rules]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "owners.yaml", "rules: [{team: a}]")
    file = OwnershipFile(path)
    assert teams(file) == ["a"]
    written(path, "rules: [{team: b}]")
    assert teams(file) == ["b"]


@pytest.mark.parametrize("text", ["rules: [{teem: b}, {team: ''}]", "rules: [", None])
def test_a_wrong_one_leaves_the_rules_that_were(tmp_path: Path, text: str | None) -> None:
    path = written(tmp_path / "owners.yaml", "rules: [{team: a}]")
    file = OwnershipFile(path)
    if text is None:
        path.unlink()
    else:
        written(path, text)
    with capture_logs() as logs:
        for _ in range(3):
            assert teams(file) == ["a"]
            assert file.now().problems
    assert [entry["log_level"] for entry in logs] == ["warning"], "said once"
    written(path, "rules: [{team: c}]")
    assert teams(file) == ["c"]
    assert file.now().problems == ()


def test_a_wrong_one_ends_the_start_with_everything_that_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path / "owners.yaml", "rules:\n  - teem: b\n  - team: ''\n")
    with pytest.raises(OwnershipError) as caught:
        OwnershipFile(path)
    assert len(caught.value.problems) >= 2
    assert all(problem.startswith(f"{path}:") for problem in caught.value.problems)
    with pytest.raises(OwnershipError, match=r"cannot be read: [^:]+$"):
        OwnershipFile(tmp_path / "none.yaml")


def test_without_a_file_there_are_no_rules() -> None:
    assert teams(OwnershipFile(None)) == []
