"""The targets a newcomer meets first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PHONY = re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, re.MULTILINE)


def shell(*command: str) -> subprocess.CompletedProcess[str]:
    # These tests may themselves be run by make, whose variables would change what another make prints.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_is_what_make_says_by_default_and_names_every_target() -> None:
    done = shell("make")

    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines()] == PHONY
    assert {"help", "venv", "run", "test", "faults", "lint", "bench", "clean"} <= set(PHONY)


@pytest.mark.parametrize(
    ("target", "commands"),
    [
        ("test", ["ruff check", "ruff format --check", "mypy", "lint-imports", "pytest -n 2"]),
        ("run", ["lowtide quickstart"]),
    ],
)
def test_what_a_target_runs(target: str, commands: list[str]) -> None:
    plan = shell("make", "-n", target).stdout
    found = [re.search(rf"(?m)^\S+/(python -m )?{re.escape(command)}( |$)", plan) for command in commands]

    assert all(found), plan
    places = [match.start() for match in found if match]
    assert places == sorted(places)


def test_running_needs_no_development_packages(tmp_path: Path) -> None:
    plan = shell("make", "-n", "run", f"VENV={tmp_path}").stdout

    assert f"install.py {tmp_path} embedded\n" in plan


def test_an_old_python_is_refused_with_a_plain_sentence(tmp_path: Path) -> None:
    script = (
        "import sys, runpy; sys.version_info = (3, 9, 1, 'final', 0); "
        f"sys.argv = ['install.py', {str(tmp_path / 'venv')!r}, 'embedded']; "
        f"runpy.run_path({str(ROOT / '.ci' / 'install.py')!r}, run_name='__main__')"
    )

    done = shell(sys.executable, "-c", script)

    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        r"Error: Lowtide needs Python 3\.11 or newer, and \S+ is 3\.9\. Name a newer one, for example: "
        r"make PYTHON=python3\.12\n",
        done.stderr,
    )
    assert not (tmp_path / "venv").exists()


def test_no_package_index_is_named() -> None:
    """Where packages come from is the machine's business."""
    files = [ROOT / "Makefile", ROOT / "constraints.txt", ROOT / ".ci" / "install.py", ROOT / ".ci" / "run"]
    pattern = re.compile(r"https?://|index-url|find-links|trusted-host")

    assert [file.name for file in files if pattern.search(file.read_text(encoding="utf-8"))] == []


def test_the_build_script_is_executable() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert shell("bash", "-n", ".ci/run").returncode == 0
