"""The demo as quickstart runs it: a child process, read line by line. Ends with its block.

The traps: its lines must be read all the time, or it stops when the pipe is full. And the token it sends
with goes through its stdin, since everybody on the machine can read the arguments of a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lowtide.serve.errors import ServeError

_MODULE = "lowtide.serve.demo_child"
_END_S = 5.0


class DemoFailedError(ServeError):
    """The demo could not be played to its end."""


class Showing:
    """One demo process, playing into `endpoint`. Use it in an `async with` block, once."""

    def __init__(
        self, endpoint: str, token: str, data: Path | None, *, days: float, history: bool, live: bool
    ) -> None:
        """`data` is the directory of the server at `endpoint` if TLS is spoken there."""
        self._token = token
        self._arguments = ["--endpoint", endpoint, "--days", f"{days:g}"]
        self._arguments += [] if data is None else ["--data", str(data)]
        self._arguments += ["--history"] if history else []
        self._arguments += ["--live"] if live else []
        self._process: asyncio.subprocess.Process | None = None
        self._ended = False

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(f"{self._token}\n".encode())
            self._process.stdin.close()
        return self

    async def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """What it says, until it ends or is ended. Raises DemoFailedError if it gave up."""
        process = self._running()
        if process.stdout is None:
            raise DemoFailedError("The demo cannot be listened to.")
        async for line in process.stdout:
            event: Mapping[str, Any] = json.loads(line)
            if event["event"] == "failed":
                raise DemoFailedError(f"The demo gave up: {event['reason']}")
            yield event
        code = await process.wait()
        if code and not self._ended:
            raise DemoFailedError(f"The demo ended with exit code {code}; what it said is above.")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """End its process. Returns when nothing comes from it any more; calling it again changes nothing."""
        self._ended = True
        process = self._running()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the demo was not started")
        return self._process
