"""What the tests of the example programs share: their runner, and a sink to send to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from support import programs
from support.sink import Sink

Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """An OTLP receiver on free ports that keeps what it gets."""
    receiver = Sink()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()


@pytest.fixture(scope="session")
def run_example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Runs one program: `run_example("go", {"OTEL_...": ...})`. Skips where its toolchain is missing."""
    # Without pytest's cache plugin, a folder that the workers of this session share.
    kept = getattr(request.config, "cache", None)
    cache = kept.mkdir("examples") if kept is not None else tmp_path_factory.getbasetemp().parent

    def run(language: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        if reason := programs.lacking(language):
            pytest.skip(reason)
        return programs.run(language, cache, variables)

    return run
