"""Finds the server that owns the data directory of this command. `lowtide demo` is given it as `find_server`.

The trap: it is called inside a command, because only there the common options (`--data`, `--config`) are
known.
"""

from __future__ import annotations

from lowtide.cli.demo import RunningServer
from lowtide.cli.invocation import Invocation
from lowtide.trust import server_of


def find_server(run: Invocation) -> RunningServer | None:
    """Where the server of this data directory answers, or None if none runs. One that is starting is waited
    for.

    Raises ServerBusyError if it takes too long.
    """
    settings = run.settings()
    client = run.server(settings)  # waits for one that is starting
    if client is None:
        return None
    client.close()
    running = run.running(settings)
    if running is None or running.api is None:
        return None
    return RunningServer(
        api=running.api,
        otlp_http=running.addresses["otlp_http"],
        token=running.secret,
        trust=server_of(settings.data) if running.certificates else None,
    )
