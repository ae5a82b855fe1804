"""Builds and runs the programs of `examples/`, once per version of their source.

A build lies in pytest's cache folder under a hash of what went into it, so that a second run of the tests and
every xdist worker find it ready. One lock serves all languages: two compilers at once only slow each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILD_TIME_LIMIT_S = 540
RUN_TIME_LIMIT_S = 60
# Where Go's own installer puts it, which is not always on the PATH.
GO_FOLDER = "/usr/local/go/bin"


@dataclass(frozen=True, slots=True)
class Language:
    """How a program is built and started; `tools` maps each one needed to the call that tells its version."""

    tools: dict[str, Sequence[str]]
    oldest: tuple[int, ...]
    build: Sequence[str]
    command: Sequence[str]


LANGUAGES = {
    "python": Language({}, (), (), (sys.executable, "main.py")),
    "node": Language(
        {"node": ("--version",), "npm": ()},
        (20, 6),
        ("npm", "ci", "--ignore-scripts"),
        ("node", "main.mjs"),
    ),
    "java": Language(
        {"java": ("-version",), "mvn": ()},
        (17,),
        ("mvn", "-q", "-B", "package"),
        ("java", "-jar", "target/shop.jar"),
    ),
    "go": Language(
        {"go": ("version",)},
        (1, 26),
        ("go", "build", "-o", "bin/shop", "."),
        ("bin/shop",),
    ),
}


def environment() -> dict[str, str]:
    """The caller's environment without any OTEL_* of its own, which would turn the programs elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return {**kept, "PATH": f"{kept.get('PATH', os.defpath)}{os.pathsep}{GO_FOLDER}", "CGO_ENABLED": "0"}


def lacking(language: str) -> str | None:
    """Why the program cannot be built here, in plain words; None if it can."""
    path = environment()["PATH"]
    wanted = LANGUAGES[language]
    for tool in wanted.tools:
        if shutil.which(tool, path=path) is None:
            return f"{tool} is not installed, and the {language} example needs it"
    version = _version(language)
    if version < wanted.oldest:
        oldest = ".".join(map(str, wanted.oldest))
        return f"{language} is {'.'.join(map(str, version))} here, and the example needs {oldest} or newer"
    return None


def _version(language: str) -> tuple[int, ...]:
    calls = [(tool, call) for tool, call in LANGUAGES[language].tools.items() if call]
    if not calls:
        return ()
    (tool, call), *_ = calls
    told = _run([tool, *call], cwd=EXAMPLES, env=environment(), limit_s=RUN_TIME_LIMIT_S)
    found = re.search(r"(\d+)(?:\.(\d+))?", told.stdout + told.stderr)
    if found is None:
        raise RuntimeError(f"{tool} did not tell its version: {told.stdout}{told.stderr}")
    return tuple(int(part) for part in found.groups() if part is not None)


def _run(
    command: Sequence[str], cwd: Path, env: dict[str, str], limit_s: int
) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0], path=env["PATH"]) or command[0]
    return subprocess.run(
        [program, *command[1:]],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=limit_s,
        check=False,
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sources(language: str) -> list[Path]:
    built = {"node_modules", "target", "bin", "__pycache__"}
    folder = EXAMPLES / language
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not built & set(path.relative_to(folder).parts))


def built(language: str, cache: Path) -> Path:
    """The folder to run the program in, built if need be. Raises RuntimeError with the builder's words."""
    wanted = LANGUAGES[language]
    folder = EXAMPLES / language
    if not wanted.build:
        return folder
    digest = hashlib.sha256(repr((wanted.build, _version(language))).encode())
    for path in _sources(language):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    target = cache / f"{language}-{digest.hexdigest()[:16]}"
    done = target / ".built"
    with _locked(cache / "build.lock"):
        if done.exists():
            return target
        for old in cache.glob(f"{language}-*"):
            shutil.rmtree(old)
        for path in _sources(language):
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        made = _run(wanted.build, cwd=target, env=environment(), limit_s=BUILD_TIME_LIMIT_S)
        if made.returncode != 0:
            raise RuntimeError(
                f"{' '.join(wanted.build)} failed in examples/{language} (leave these tests out with "
                f'-m "not sdk" where no package registry is reached):\n{made.stdout}{made.stderr}'
            )
        done.touch()
    return target


def run(language: str, cache: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the built program with these variables set."""
    folder = built(language, cache)
    command = LANGUAGES[language].command
    env = {**environment(), **variables}
    started = [str(folder / command[0]) if "/" in command[0] else command[0], *command[1:]]
    return _run(started, cwd=folder, env=env, limit_s=RUN_TIME_LIMIT_S)
