"""A data directory with a spool and nothing else, so that no engine is needed, and the command."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from lowtide.cli.app import run


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but the test's own."""
    for name in os.environ:
        if name.startswith("LOWTIDE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lowtide(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `lowtide ARGUMENTS` here and returns exit code, stdout and stderr."""

    def command(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(each) for each in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three requests of logs wait in its spool; tokens, a folder and files that nobody knows lie beside."""
    data = tmp_path / "data"
    with Spool.open(data / "spool", SpoolSettings()) as spool:
        for number in range(3):
            spool.append(Signal.LOGS, "default", b"body %d" % number, items=1, received_ns=10**18).result(30)
    (data / "tokens.json").write_text('{"tokens": []}')
    (data / "spool" / "quarantine").mkdir()
    (data / "spool" / "quarantine" / "logs-1.held").write_bytes(b"held")
    (data / "tmp").mkdir()
    (data / "tmp" / "upload").write_bytes(b"passing")
    (data / "lowtide.lock").touch()
    return data


@pytest.fixture
def backup(data: Path, tmp_path: Path, lowtide: Callable[..., Ran]) -> Path:
    """A backup of it."""
    made = tmp_path / "backup"
    ran = lowtide("backup", made, "--data", data)
    assert ran.code == 0, ran.err
    return made
