"""A real `lowtide serve` process: `served` is ready and shared by all tests, which must leave it as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support.launcher import Launcher, Running


@pytest.fixture(scope="session")
def served(
    launching: Callable[[Path], AbstractContextManager[Launcher]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """One server for tests that only look at it."""
    with launching(tmp_path_factory.mktemp("served")) as launcher:
        yield launcher.serve()
