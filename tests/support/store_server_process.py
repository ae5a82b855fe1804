"""Starts, stops and kills the stand-in for a ClickHouse server, `support.store_server`, in its own process.

The trap: it keeps its port when it is started again, as a server does that comes back. And nothing here
imports the stand-in, which needs the embedded engine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import quote

from ingest.store.target import Server

USER = "lowtide-writer"
PASSWORD = "p@ss/w:rd é"  # noqa: S105 - of nothing but the stand-in
"""With everything that has to be written in another way in an address."""
_ROOT = Path(__file__).parents[2]
_END_S = 30.0


class StoreProcess:
    """One stand-in on a directory. `start` it; it ends with this process at the latest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and return when it answers, on the port it had before if there was one."""
        assert self._process is None
        self.directory.mkdir(parents=True, exist_ok=True)
        errors = self.directory / "stderr"
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "support.store_server", "--path", str(self.directory),
                    "--port", str(self.port), "--end-with-stdin",
                ],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=self.directory,
                env=os.environ | {"PYTHONPATH": os.pathsep.join((str(_ROOT / "tests"), str(_ROOT)))},
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, errors.read_text()
        self.port = json.loads(line)["port"]
        return self

    @property
    def pid(self) -> int | None:
        """Of the process, if it runs."""
        return None if self._process is None else self._process.pid

    def target(self, database: str = "lowtide", password: str = PASSWORD) -> Server:
        """Where it is, for an engine."""
        return Server("127.0.0.1", self.port, USER, password, database, secure=False)

    def address(self, database: str = "lowtide", *, with_password: bool = False) -> str:
        """Where it is, as the setting `store.url`."""
        secret = f":{quote(PASSWORD, safe='')}" if with_password else ""
        return f"clickhouse://{USER}{secret}@127.0.0.1:{self.port}/{database}"

    @property
    def url(self) -> str:
        """Where it is, for an HTTP client."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """SIGTERM, and wait; nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_END_S)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
