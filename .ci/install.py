"""Makes the virtual environment and installs Lowtide into it, saying how far it is. Called by the Makefile.

    python3 .ci/install.py VENV EXTRAS

The trap: Pythons that are too old run it as well, to say so; its syntax must stay readable for 3.7.
"""
# ruff: noqa: INP001 - a script beside the package, not a part of one
# ruff: noqa: S603 - it starts this interpreter and the one it has just made

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

OLDEST = (3, 11)
CONSTRAINTS = Path("constraints.txt")
# Measured: the engine alone takes 530 MB; pandas, pyarrow, polars and the compiler another 700 MB.
SIZES = {"embedded": "1.5 GB", "embedded,dev": "1.7 GB"}


class Progress(threading.Thread):
    """Says what goes on: one line that is redrawn on a terminal, else a line every quarter of a minute."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.watched = sys.stdout.isatty()
        self.started = time.monotonic()
        self.doing = "looking up packages"
        self.done = threading.Event()

    def run(self) -> None:
        """Until `stop` is called."""
        while not self.done.wait(0.5 if self.watched else 15):
            line = f"  {time.monotonic() - self.started:.0f} s: {self.doing}"
            sys.stdout.write(f"\r\033[K{line}" if self.watched else f"{line}\n")
            sys.stdout.flush()

    def stop(self) -> None:
        """Say no more."""
        self.done.set()
        self.join()
        if self.watched:
            sys.stdout.write("\r\033[K")


def main(venv_name: str, extras: str) -> int:
    """Install, and return the exit code."""
    if sys.version_info < OLDEST:
        return fail(
            f"Lowtide needs Python {version(OLDEST)} or newer, and {sys.executable} is "
            f"{version(sys.version_info)}. Name a newer one, for example: make PYTHON=python3.12"
        )
    started, venv = time.monotonic(), Path(venv_name)
    if not (venv / "bin" / "python").exists():
        say(f"Making the environment {venv} with Python {version(sys.version_info)}.")
        if subprocess.call([sys.executable, "-m", "venv", str(venv)]) != 0:
            return fail(
                f"The environment {venv} could not be made. On Debian and Ubuntu that needs: "
                f"apt-get install python{version(sys.version_info)}-venv"
            )
    packages = sum("==" in line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    say(
        f"Installing Lowtide and its libraries: about {packages} packages, {SIZES.get(extras, 'over 1 GB')} "
        "on disk. The first time takes some minutes, most of them for downloading."
    )
    if install(venv, extras) != 0:
        return fail("The installation failed, see above. Run the same command again to go on.")
    installed = sum(1 for _ in venv.glob("lib/*/site-packages/*.dist-info"))
    size_bytes = sum(path.lstat().st_blocks * 512 for path in venv.rglob("*"))
    elapsed_s = time.monotonic() - started
    say(f"{installed} packages in {venv}, {size_bytes / 1e9:.2f} GB on disk, {elapsed_s:.0f} s.")
    return 0


def install(venv: Path, extras: str) -> int:
    """Run pip and follow it. What it said is shown only if it fails."""
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    chosen = ["--progress-bar", "off", "-c", str(CONSTRAINTS), "-e", f".[{extras}]"]
    said, found = [], 0
    progress = Progress()
    progress.start()
    with subprocess.Popen(
        [*pip, *chosen], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            package = re.match(r"\s*(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)", line)
            if package:
                found += 1
                progress.doing = f"{found} packages found, now {package.group(1)}"
            elif line.startswith("Installing collected packages"):
                progress.doing = f"unpacking {found} packages"
    progress.stop()
    if process.returncode != 0:
        sys.stderr.writelines(said)
    return process.returncode


def version(numbers: tuple[int, ...]) -> str:
    """`3.11` of (3, 11, 7)."""
    return f"{numbers[0]}.{numbers[1]}"


def say(text: str) -> None:
    """A line for the person who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def fail(text: str) -> int:
    """A last line, and the exit code."""
    sys.stderr.write(f"Error: {text}\n")
    return 1


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    sys.exit(main(*sys.argv[1:]))
