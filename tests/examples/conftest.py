"""What the tests of the example programs share: their runner, a sink to send to, and the two comparisons."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Runner = Callable[..., subprocess.CompletedProcess[str]]


def _module(name: str) -> ModuleType:
    """A module beside this file. In pytest's importlib mode no test folder is on the module search path."""
    known = f"lowtide_examples_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, Path(__file__).with_name(f"{name}.py"))
        if spec is None or spec.loader is None:
            raise ImportError(f"{name}.py cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


@pytest.fixture(scope="session")
def expected() -> ModuleType:
    return _module("expected")


@pytest.fixture(scope="session")
def wire() -> ModuleType:
    return _module("wire")


@pytest.fixture
def sink() -> Iterator[Any]:
    """An OTLP receiver on free ports that keeps what it gets."""
    receiver = _module("sink").Sink()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


@pytest.fixture(scope="session")
def run_example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Runs one program: `run_example("go", {"OTEL_...": ...})`. Skips where its toolchain is missing."""
    programs = _module("programs")
    # Without pytest's cache plugin, a folder that the workers of this session share.
    kept = getattr(request.config, "cache", None)
    cache = kept.mkdir("examples") if kept is not None else tmp_path_factory.getbasetemp().parent

    def run(language: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        if reason := programs.lacking(language):
            pytest.skip(reason)
        return programs.run(language, cache, variables)

    return run
