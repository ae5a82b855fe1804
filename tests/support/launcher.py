"""Real `lowtide` processes on a data directory of the test's own, on free ports of loopback. Tests get them
from the fixtures `launch` and `launching` of `tests/conftest.py`, which know where the store is.

The trap: their answers come over HTTP only; a test process never opens their store.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

ANY_PORTS = ("--api-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")
START_S = 60.0
END_S = 60.0


@dataclass(slots=True)
class Running:
    """One process of the command."""

    process: subprocess.Popen[bytes]
    data: Path
    out: Path
    err: Path
    environment: Mapping[str, str]
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=60, trust_env=False))

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> list[dict[str, Any]]:
        """The whole lines of stdout; each must be JSON."""
        return [
            json.loads(line) for line in self.out.read_text().splitlines(keepends=True) if line[-1] == "\n"
        ]

    def told(self) -> str:
        """Everything on stderr."""
        return self.err.read_text()

    @property
    def ready(self) -> dict[str, Any] | None:
        """The ready line, or None if it has not said it yet."""
        lines = self.said()
        return lines[0] if lines else None

    def wait_ready(self) -> dict[str, Any]:
        """The ready line."""
        until = time.monotonic() + START_S
        while (ready := self.ready) is None:
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < until, self.told()
            time.sleep(0.02)
        return ready

    def url(self, path: str) -> str:
        return self.wait_ready()["api"] + path

    def get(self, path: str, **params: str) -> Any:
        """A JSON answer of the API."""
        response = self.http.get(self.url(path), params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def rows(self, sql: str, headers: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """What the read-only endpoint answers, by column."""
        response = self.http.post(
            self.url("/sql"), params={"default_format": "JSONEachRow"}, content=sql.encode(), headers=headers
        )
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]

    def send_log(self, text: str) -> None:
        """Send a log record of a sender of our own; it must be accepted."""
        request = ExportLogsServiceRequest()
        record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
        record.body.string_value = text
        response = self.http.post(
            self.wait_ready()["otlp_http"] + "/v1/logs", content=request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )  # fmt: skip
        assert response.status_code == 200, response.text

    def wait_stored(self) -> None:
        """Return once nothing waits in the spool."""
        until = time.monotonic() + END_S
        while (state := self.get("/api/v1/pipeline"))["requests_waiting"]:
            assert time.monotonic() < until, state
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(END_S)


class Launcher:
    """Starts processes of the command and ends them all. `settings` are variables that tell them where their
    store is; none for the embedded one.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.started: list[Running] = []
        self.command = [sys.executable, "-m", "lowtide"]
        # The machine's environment without anything that could change our settings.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOWTIDE_")}
        self.environment = kept | {"XDG_CONFIG_HOME": str(folder / "config"), "NO_COLOR": "1"}
        self.environment |= settings or {}
        self.on_server = bool(settings)
        """Whether their store is on a server, and not in their data directory."""

    def __call__(self, *arguments: str, data: Path | None = None) -> Running:
        """Run `lowtide ARGUMENTS --data DATA` in the background."""
        data = data or self.folder / "data"
        number = len(self.started)
        out, err = self.folder / f"out-{number}", self.folder / f"err-{number}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [*self.command, *arguments, "--data", str(data)],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=self.environment, cwd=self.folder,
            )  # fmt: skip
        self.started.append(Running(process, data, out, err, dict(self.environment)))
        return self.started[-1]

    def serve(self, *arguments: str, data: Path | None = None) -> Running:
        """A server on free ports that is ready."""
        running = self("serve", *ANY_PORTS, *arguments, data=data)
        running.wait_ready()
        return running

    def close(self) -> None:
        for running in self.started:
            with contextlib.suppress(ProcessLookupError):
                running.process.kill()
            running.process.wait(END_S)
            running.http.close()
