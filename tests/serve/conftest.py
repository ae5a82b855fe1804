"""Real `lowtide serve` processes.

launch     starts one with any arguments; `launch.serve` waits for its ready line; all end with the test
served     one that is ready and shared by all tests, which must leave it as it is
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.launcher import Launcher, Running


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    """`launch(*arguments)` runs the command, `launch.serve(*arguments)` a server that is ready."""
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for tests that only look at it."""
    launcher = Launcher(tmp_path_factory.mktemp("served"))
    yield launcher.serve()
    launcher.close()
