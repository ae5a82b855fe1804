"""Finds out which of the usual ports are taken, so that quickstart can fall back to free ones.

Only ports nobody chose are replaced: whoever names a port means it. The trap: a port may be taken between
this look and its use; the server then says so as it always does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.listen import Endpoint, PortInUseError, bound_socket
from lowtide.settings_sources import Flag, Kind

if TYPE_CHECKING:
    from lowtide.settings import Settings
    from lowtide.settings_load import Loaded


def taken_ports(loaded: Loaded[Settings]) -> list[Flag]:
    """For each port that nobody chose and somebody uses: the flag that takes any free one instead."""
    settings = loaded.settings
    wanted = [
        ("--api-port", ("api", "port"), settings.listen, settings.api.port),
        (
            "--otlp-http-port",
            ("collector", "http_port"),
            settings.collector.listen,
            settings.collector.http_port,
        ),
        (
            "--otlp-grpc-port",
            ("collector", "grpc_port"),
            settings.collector.listen,
            settings.collector.grpc_port,
        ),
    ]
    return [
        Flag(option, ".".join(key), 0)
        for option, key, address, port in wanted
        if loaded.origins[key].kind is Kind.DEFAULT and _is_taken(Endpoint(address, port, option))
    ]


def _is_taken(endpoint: Endpoint) -> bool:
    try:
        bound_socket(endpoint).close()
    except PortInUseError:
        return True
    return False
