"""A `lowtide serve` of one's own for a measurement, on free ports of the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from ingest.signals import Signal

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Server:
    """Use it in a `with` block; it ends with SIGTERM, and a failure of the server is an error here."""

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        self._data = data
        self._settings = settings
        self.ready: dict[str, Any] = {}
        self.ready_after_s = 0.0

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "lowtide", "serve", "--data", str(self._data)]
        ports = ["--api-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0"]
        started = time.monotonic()
        self._log = (self._data.parent / "server.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [*command, *ports],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | dict(self._settings),
        )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"lowtide serve did not start; see {self._log.name}")
        self.ready_after_s = time.monotonic() - started
        self.ready = json.loads(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        code = self._process.wait(timeout=180)
        self._log.close()
        if code != 0 and error is None:
            raise RuntimeError(f"lowtide serve ended with {code}; see {self._log.name}")

    def pipeline(self, signal: Signal) -> dict[str, Any]:
        """Where the telemetry of a signal is on its way."""
        states = json.loads(self._get("/api/v1/pipeline"))["signals"]
        found: dict[str, Any] = next(state for state in states if state["signal"] == signal.value)
        return found

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """The answer to a statement."""
        answer = self._get("/sql?" + urlencode({"query": sql, "default_format": "JSONCompact"}))
        found: Sequence[Sequence[Any]] = json.loads(answer)["data"]
        return found

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.ready["api"].rstrip("/") + path, timeout=60) as answer:  # noqa: S310 - http
            return bytes(answer.read())

    def peak_memory_bytes(self) -> int:
        """The most memory it has held so far."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_s(self) -> float:
        """Processor time it has used so far."""
        fields = (
            Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
