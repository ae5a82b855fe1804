"""What a starting and a stopping server says: one JSON line for programs on stdout, the rest for people on
stderr.

Called by `lowtide.cli.serve`. The trap: stdout carries the ready line and nothing else, because programs
wait for it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from lowtide.serve.lifecycle import Addresses
from lowtide.store_access import target_of

if TYPE_CHECKING:
    from lowtide.settings import Settings


def ready_line(addresses: Addresses, pid: int | None = None) -> str:
    """`{"event":"ready","api":...,"otlp_http":...,"otlp_grpc":...,"pid":...}`, without the line's end."""
    record = {"event": "ready", **addresses.as_record(), "pid": os.getpid() if pid is None else pid}
    return json.dumps(record, separators=(",", ":"))


def print_ready(addresses: Addresses) -> None:
    """Tell whoever reads our stdout that traffic can come."""
    sys.stdout.write(ready_line(addresses) + "\n")
    sys.stdout.flush()


def facts(settings: Settings, addresses: Addresses) -> str:
    """What a person wants to know about the server that just started, a fact a line."""
    lines = [
        ("Lowtide", addresses.api),
        ("OTLP/HTTP", addresses.otlp_http),
        ("OTLP/gRPC", addresses.otlp_grpc),
        ("data", str(settings.data.resolve())),
        ("store", str(target_of(settings))),
        ("time zone", str(settings.time_zone)),
        ("currency", settings.currency),
        ("stop", f"Ctrl-C, or kill {os.getpid()}"),
    ]
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in lines)
