"""Compiling must not depend on a writable disk or a whole cache."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core import caching, config
from numba.core.errors import TypingError
from structlog.testing import capture_logs

import ingest.compiled
from ingest.compiled import compiled

SIGNATURE = "int64(int64)"
INGEST = Path(ingest.compiled.__file__).parent


@pytest.fixture
def twice(tmp_path: Path) -> Callable[[int], int]:
    """A function in a file of its own, as numba keeps its cache beside the source."""
    source = tmp_path / "package" / "arithmetic.py"
    source.parent.mkdir()
    source.write_text("def twice(number):\n    return number * 2\n")
    spec = importlib.util.spec_from_file_location("arithmetic", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    dont_write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = dont_write
    function: Callable[[int], int] = module.twice
    return function


@pytest.fixture
def no_other_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a directory given by the environment nor one of the user."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, so that no directory can be made here")
    monkeypatch.setattr(config, "CACHE_DIR", "")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(blocked / "below"))


def _cached(function: Any) -> list[Path]:
    return sorted(Path(function.__code__.co_filename).parent.glob("__pycache__/*.nbc"))


@pytest.mark.usefixtures("no_other_cache")
def test_machine_code_is_kept_beside_the_source(twice: Callable[[int], int]) -> None:
    with capture_logs() as logs:
        assert compiled(SIGNATURE, twice)(21) == 42
        again = compiled(SIGNATURE, twice)
    assert again(21) == 42
    assert sum(again.stats.cache_hits.values()) == 1  # type: ignore[attr-defined] # a numba dispatcher
    assert len(_cached(twice)) == 1
    assert logs == []


def _run(folder: Path, module: str) -> str:
    """What importing a module of the folder prints, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-B", "-c", f"import {module}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.usefixtures("no_other_cache")
def test_machine_code_is_made_anew_when_another_file_of_the_folder_changed(tmp_path: Path) -> None:
    """`scale` is compiled into `scaled`, whose own file stays as it is."""
    package = tmp_path / "scales"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "scaled.py").write_text(
        "from ingest.compiled import compiled\nfrom scales.scale import scale\n\n\n"
        "def scaled(number):\n    return scale(number)\n\n\n"
        f"print(compiled({SIGNATURE!r}, scaled)(21))\n"
    )
    for factor in (2, 3):
        (package / "scale.py").write_text(
            f"from ingest.compiled import part\n\n\n@part\ndef scale(number):\n    return number * {factor}\n"
        )
        assert _run(tmp_path, "scales.scaled") == str(21 * factor)


@pytest.mark.usefixtures("no_other_cache")
def test_machine_code_of_another_folder_is_made_anew_when_a_step_of_ingest_changed(tmp_path: Path) -> None:
    """As the collector's walks are made of those of `ingest.wire`."""
    ingest, collector = tmp_path / "ingest", tmp_path / "collecting"
    for package in (ingest, collector):
        package.mkdir()
        (package / "__init__.py").touch()
    for name in ("compiled.py", "wire.py"):
        shutil.copy(INGEST / name, ingest)
    (collector / "walk.py").write_text(
        "from ingest.compiled import address_of, compiled\nfrom ingest.wire import varint_at\n\n\n"
        "def walk(body):\n    return int(varint_at(address_of(body), 0, len(body))[0])\n\n\n"
        "print(compiled(\"int64(Bytes(uint8, 1, 'C'))\", walk)(bytes((0xC1, 0x01))))\n"
    )
    assert _run(tmp_path, "collecting.walk") == str(0xC1)
    wire = (ingest / "wire.py").read_text()
    assert wire.count("byte & 0x7F") == 2
    (ingest / "wire.py").write_text(wire.replace("byte & 0x7F", "byte & 0x3F"))
    assert _run(tmp_path, "collecting.walk") == str(0x81)
    assert len(list((collector / "__pycache__").glob("*.nbi"))) == 1


@pytest.mark.usefixtures("no_other_cache")
def test_without_any_writable_directory_it_compiles_in_memory(twice: Callable[[int], int]) -> None:
    Path(twice.__code__.co_filename).parent.joinpath("__pycache__").write_text("no directory")
    with capture_logs() as logs:
        assert compiled(SIGNATURE, twice)(21) == 42
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "no locator available" in logs[0]["error"]


@pytest.mark.usefixtures("no_other_cache")
@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x05K\x01."])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_cache_does_not_stop_it(twice: Callable[[int], int], content: bytes, kind: str) -> None:
    compiled(SIGNATURE, twice)
    folder = Path(twice.__code__.co_filename).parent / "__pycache__"
    for damaged in folder.glob(f"*.{kind}"):
        damaged.write_bytes(content)
    with capture_logs() as logs:
        assert compiled(SIGNATURE, twice)(21) == 42
    assert len(logs) <= 1


@pytest.mark.usefixtures("no_other_cache")
def test_a_full_disk_does_not_stop_it(monkeypatch: pytest.MonkeyPatch, twice: Callable[[int], int]) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_data", full)
    with capture_logs() as logs:
        assert compiled(SIGNATURE, twice)(21) == 42
    assert "No space left" in logs[0]["error"]


def test_what_does_not_compile_is_still_an_error(twice: Callable[[int], int]) -> None:
    with pytest.raises(TypingError), capture_logs():
        compiled("float64(DictType(int64, int64))", twice)
