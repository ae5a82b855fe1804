"""Versions and settings: every judgement, and the facts of this environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lowtide.doctor import software
from lowtide.doctor.findings import Level, worst
from lowtide.doctor.software import SettingFacts, VersionFacts, satisfies
from lowtide.settings import load_settings

VERSIONS = VersionFacts(
    "3.11.7", ">=3.11", {"a": ">=1.2,<2", "b": "==4.4.0"}, {"a": "1.9"}, {"a": "1.9", "b": "4.4"}
)
SETTINGS = SettingFacts(Path("/etc/lowtide.toml"), 0o600, False, (), False)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (VERSIONS, Level.OK, "Python 3.11.7, 2 packages."),
        (replace(VERSIONS, installed={"a": "1.9", "b": "4.4.0", "chdb": "4"}), Level.OK, "chDB 4"),
        (replace(VERSIONS, python="3.10.1"), Level.PROBLEM, "Python is 3.10.1, and >=3.11 is needed"),
        (replace(VERSIONS, installed={"a": "1.9"}), Level.PROBLEM, "b is not installed"),
        (replace(VERSIONS, installed={"a": "2.0", "b": "4.4.0"}), Level.PROBLEM, "a is 2.0, and >=1.2,<2"),
        (replace(VERSIONS, installed={"a": "1.8", "b": "4.4.0"}), Level.WARNING, "a 1.8 (tested: 1.9)"),
    ],
)
def test_versions(facts: VersionFacts, level: Level, words: str) -> None:
    found = software.check_versions(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


@pytest.mark.parametrize(
    ("version", "bounds", "is_within"),
    [
        ("1.12.0", ">=1.12,<2", True), ("1.9", ">=1.12,<2", False), ("2.0.0", ">=1.12,<2", False),
        ("2.0rc1", "<2", False), ("4.4", "==4.4.0", True), ("4.4.1", "==4.4.0", False), ("1", "!=1.0", False),
        ("3", ">2,<=3", True), ("9", "", True), ("2026.1", ">=2026.1", True),
    ],
)  # fmt: skip
def test_bounds(version: str, bounds: str, is_within: bool) -> None:
    assert satisfies(version, bounds) == is_within


def test_requirements_that_count_here() -> None:
    lines = [
        "Uvicorn[standard]<1,>=0.54", "chdb==4.4.0; extra == 'embedded'", "pytest>=9; extra == 'dev'",
        "backports.zstd>=1.8; python_version < '3.14'", "old>=1; python_version < '3.11'",
        "odd; os_name == 'nt'",
    ]  # fmt: skip
    found = [software._requirement(line, {"embedded"}, (3, 11)) for line in lines]
    assert [each for each in found if each] == [
        ("uvicorn", "<1,>=0.54"), ("chdb", "==4.4.0"), ("backports-zstd", ">=1.8"),
    ]  # fmt: skip


def test_this_environment(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("# tested\npolars==0.0.1\n")
    facts = software.version_facts(embedded=True, constraints=pins)
    assert facts.python_wanted == ">=3.11"
    assert {"polars", "chdb", "structlog"} <= facts.installed.keys()
    assert "polars" in software.check_versions(facts)[-1].what
    assert "chdb" not in software.version_facts(embedded=False).required


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (SETTINGS, Level.OK, "valid (/etc/lowtide.toml)"),
        (replace(SETTINGS, file=None), Level.OK, "valid (no file)"),
        (
            replace(SETTINGS, file_mode=0o644, has_password_in_file=True),
            Level.PROBLEM,
            "the store's password",
        ),
        (replace(SETTINGS, file_mode=0o600, has_password_in_file=True), Level.OK, "valid"),
        (replace(SETTINGS, file_mode=0o664), Level.WARNING, "Others can write"),
        (replace(SETTINGS, outside=("10.0.0.9",), insecure=True), Level.WARNING, "10.0.0.9 can be reached"),
        (replace(SETTINGS, outside=("10.0.0.9",)), Level.OK, "valid"),
    ],
)
def test_settings(facts: SettingFacts, level: Level, words: str) -> None:
    found = software.check_settings(facts)
    assert worst(found) is level
    assert words in " ".join(each.what for each in found)


def test_the_settings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lowtide.toml"
    file.write_text('listen = "10.0.0.9"\ninsecure = true\n[store]\npassword = "x"\n')
    file.chmod(0o644)
    facts = software.setting_facts(load_settings(file, environ={}))
    assert facts == SettingFacts(file, 0o644, True, ("10.0.0.9",), True)
    given = load_settings(None, environ={"LOWTIDE_STORE__PASSWORD": "x"}, overrides=[])
    assert not software.setting_facts(given).has_password_in_file
