"""The software: Python, the packages Lowtide runs on, and the settings. Facts are gathered by `*_facts`,
judged by `check_*`, which touch nothing.

The trap: a requirement with a marker that is not understood is passed over, never guessed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lowtide.doctor.findings import Finding, ok, problem, warning

if TYPE_CHECKING:
    from lowtide.settings import Settings
    from lowtide.settings_load import Loaded

_REQUIREMENT: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)(?:;\s*(.*))?$")
_BOUND: Final = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9][0-9.]*)")
_PYTHON_MARKER: Final = re.compile(r"^python_version\s*(>=|<=|==|!=|<|>)\s*['\"]([0-9.]+)['\"]$")
_EXTRA_MARKER: Final = re.compile(r"^extra\s*==\s*['\"](\w+)['\"]$")


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What is installed, and what is asked for."""

    python: str
    python_wanted: str
    required: Mapping[str, str]
    """Bounds by package, e.g. ">=1.12,<2"."""
    tested: Mapping[str, str]
    """Versions that Lowtide was tested with, by package; empty if nobody knows here."""
    installed: Mapping[str, str]
    """Versions by package, of those above; what is missing is missing."""


def version_facts(*, embedded: bool, constraints: Path | None = None) -> VersionFacts:
    """Of this environment. `constraints` is the file of tested versions, by default the one beside the
    source."""
    extras = {"embedded"} if embedded else set()
    required = dict(
        found
        for line in metadata.requires("lowtide") or []
        if (found := _requirement(line, extras, sys.version_info[:2])) is not None
    )
    path = constraints or Path(__file__).parents[2] / "constraints.txt"
    tested = _pins(path.read_text(encoding="utf-8")) if path.is_file() else {}
    installed = {}
    for name in required:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    wanted = metadata.metadata("lowtide")["Requires-Python"]
    return VersionFacts(".".join(map(str, sys.version_info[:3])), wanted, required, tested, installed)


def _requirement(line: str, extras: set[str], python: tuple[int, ...]) -> tuple[str, str] | None:
    """Package and bounds of a requirement that counts here."""
    match = _REQUIREMENT.match(line)
    if match is None:
        return None
    name, bounds, marker = match[1], match[2].strip(" ()"), (match[3] or "").strip()
    if extra := _EXTRA_MARKER.match(marker):
        counts = extra[1] in extras
    elif only := _PYTHON_MARKER.match(marker):
        counts = _holds(python, only[1], _numbers(only[2]))
    else:
        counts = not marker
    return (_canonical(name), bounds) if counts else None


def _pins(text: str) -> dict[str, str]:
    pairs = (line.split("#")[0].strip().partition("==") for line in text.splitlines())
    return {_canonical(name): version for name, pinned, version in pairs if pinned}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version, without zeros at its end: 1.0 is 1."""
    release = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _holds(version: tuple[int, ...], relation: str, bound: tuple[int, ...]) -> bool:
    match relation:
        case ">=":
            return version >= bound
        case "<=":
            return version <= bound
        case "<":
            return version < bound
        case ">":
            return version > bound
        case "==":
            return version == bound
        case _:
            return version != bound


def satisfies(version: str, bounds: str) -> bool:
    """Whether a version is within bounds like ">=1.12,<2"."""
    return all(
        _holds(_numbers(version), relation, _numbers(bound)) for relation, bound in _BOUND.findall(bounds)
    )


def check_versions(facts: VersionFacts) -> list[Finding]:
    """What runs is what was asked for, and what was tested."""
    install = "Install Lowtide anew with its constraints.txt (`make venv`)."
    found = []
    if not satisfies(facts.python, facts.python_wanted):
        what = f"Python is {facts.python}, and {facts.python_wanted} is needed."
        found.append(problem("versions", what, "Make the environment anew with such a Python."))
    for name, bounds in facts.required.items():
        version = facts.installed.get(name)
        if version is None:
            found.append(problem("versions", f"{name} is not installed.", install))
        elif not satisfies(version, bounds):
            found.append(problem("versions", f"{name} is {version}, and {bounds} is needed.", install))
    other = [
        f"{name} {version} (tested: {facts.tested[name]})"
        for name, version in facts.installed.items()
        if name in facts.tested and version != facts.tested[name]
    ]
    if other:
        found.append(warning("versions", f"Other versions than tested: {', '.join(other)}.", install))
    engine = f", chDB {facts.installed['chdb']}" if "chdb" in facts.installed else ""
    return found or [ok("versions", f"Python {facts.python}, {len(facts.installed)} packages{engine}.")]


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """Settings that others could use."""

    file: Path | None
    file_mode: int
    has_password_in_file: bool
    outside: tuple[str, ...]
    """Addresses that others than this machine can reach."""
    insecure: bool


def setting_facts(loaded: Loaded[Settings]) -> SettingFacts:
    """Of settings that are valid. Raises OSError."""
    from lowtide.settings import is_loopback
    from lowtide.settings_sources import Kind

    settings = loaded.settings
    addresses = {settings.listen, settings.collector.listen}
    in_file = loaded.origins[("store", "password")].kind is Kind.FILE
    return SettingFacts(
        file=loaded.file,
        file_mode=loaded.file.stat().st_mode & 0o777 if loaded.file else 0,
        has_password_in_file=in_file and bool(settings.store.password),
        outside=tuple(sorted(each for each in addresses if not is_loopback(each))),
        insecure=settings.insecure,
    )


def check_settings(facts: SettingFacts) -> list[Finding]:
    """Nobody else reads secrets, decides the settings, or listens in."""
    found = []
    if facts.has_password_in_file and facts.file_mode & 0o077:
        found.append(
            problem(
                "settings",
                f"Others can read {facts.file}, which has the store's password.",
                f"Run chmod 600 {facts.file}, or give the password as LOWTIDE_STORE__PASSWORD.",
            )
        )
    if facts.file is not None and facts.file_mode & 0o022:
        found.append(warning("settings", f"Others can write {facts.file}.", f"Run chmod go-w {facts.file}"))
    if facts.insecure and facts.outside:
        found.append(
            warning(
                "settings",
                f"{', '.join(facts.outside)} can be reached by others, in plain text (`insecure`).",
                "Keep everybody but trusted machines from that address, or listen on 127.0.0.1.",
            )
        )
    return found or [ok("settings", f"The settings are valid ({facts.file or 'no file'}).")]
