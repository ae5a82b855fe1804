"""Claims the addresses the receivers listen on, and says in plain words why that did not work.

Called by `collector.server` before anything is started. gRPC binds its own socket and reports any
failure with one sentence for all causes, so its address is tried here first.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from collector.errors import CollectorError

BACKLOG = 2048


class ListenError(CollectorError):
    """An address cannot be listened on."""


class PortInUseError(ListenError):
    """Another process listens there already."""

    def __init__(self, address: str, port: int, flag: str) -> None:
        super().__init__(
            f"port {port} on {address} is in use by another process; stop that one, "
            f"or choose another port with {flag} (0 takes any free one)"
        )
        self.address = address
        self.port = port
        self.flag = flag


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen, and the command line flag that changes the port."""

    host: str
    port: int
    flag: str

    def __str__(self) -> str:
        return host_port(self.host, self.port)


def host_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bound_socket(endpoint: Endpoint) -> socket.socket:
    """A listening socket. Raises PortInUseError or ListenError.

    SO_REUSEADDR lets a restart have its port back at once; SO_REUSEPORT is not set, so that a second
    server is refused instead of silently taking half of the connections.
    """
    family, address = _resolved(endpoint)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, endpoint.port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(endpoint.host, endpoint.port, endpoint.flag) from error
        raise ListenError(
            f"cannot listen on {endpoint}: {error.strerror}; change --listen or {endpoint.flag}"
        ) from error
    return listening


def free_address(endpoint: Endpoint) -> str:
    """The numeric `address:port` of an endpoint that nobody listens on. Raises like `bound_socket`."""
    family, address = _resolved(endpoint)
    bound_socket(endpoint).close()
    return f"[{address}]:{endpoint.port}" if family == socket.AF_INET6 else f"{address}:{endpoint.port}"


def _resolved(endpoint: Endpoint) -> tuple[socket.AddressFamily, str]:
    """The first address of the host; the same one for both listeners, also where a name has several."""
    try:
        found = socket.getaddrinfo(endpoint.host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenError(f"{endpoint.host} is not an address of this machine; change --listen") from error
    family, _, _, _, address = found[0]
    return family, str(address[0])
