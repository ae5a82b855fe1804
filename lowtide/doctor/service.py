"""The service: whether it answers, how far storing is behind, and the ports. Facts are gathered by `*_facts`,
judged by `check_*`, which touch nothing."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lowtide.doctor.findings import Finding, ok, problem, warning
from lowtide.units import duration, share, size

_CONNECT_S: Final = 2.0
_LATE_S: Final = 60.0
_VERY_LATE_S: Final = 900.0
_FILLING: Final = 0.5
_NEARLY_FULL: Final = 0.9


@dataclass(frozen=True, slots=True)
class LoadingFacts:
    """What waits to be stored."""

    is_running: bool
    requests: int
    lag_s: float
    """Age of the oldest of them; 0 if none waits."""
    retrying: str
    spool_bytes: int
    limit_bytes: int


def loading_facts(answer: Mapping[str, Any]) -> LoadingFacts:
    """From what `/api/v1/pipeline` answers. Raises LookupError or ValueError if it is of another version."""
    retrying = next((str(one["retrying"]) for one in answer["signals"] if one["retrying"]), "")
    return LoadingFacts(
        is_running=True,
        requests=int(answer["requests_waiting"]),
        lag_s=float(answer["lag_s"]),
        retrying=retrying,
        spool_bytes=int(answer["spool_bytes"]),
        limit_bytes=int(answer["spool_limit_bytes"]),
    )


def check_loading(facts: LoadingFacts) -> list[Finding]:
    """Whether the store keeps up, and how long senders could be taken from if it did not."""
    found = []
    waiting = f"{_waiting(facts)} to be stored, the oldest for {duration(facts.lag_s)}"
    if facts.retrying:
        found.append(
            problem(
                "loading",
                f"{waiting}: {facts.retrying}.",
                "Mend the store; the batch is repeated until it is taken. See `lowtide spool status`.",
            )
        )
    elif facts.is_running and facts.lag_s > _LATE_S:
        judge = problem if facts.lag_s > _VERY_LATE_S else warning
        found.append(
            judge("loading", f"{waiting}.", "The store does not keep up: send less, or use more cores.")
        )
    part = facts.spool_bytes / facts.limit_bytes
    if part > _FILLING:
        judge = problem if part > _NEARLY_FULL else warning
        found.append(
            judge(
                "loading",
                f"The spool is filled to {share(part)} of {size(facts.limit_bytes)}; beyond that, senders "
                "are told to wait.",
                "Mend what keeps the store from taking it, or raise spool.limit_bytes.",
            )
        )
    if not facts.is_running and facts.requests:
        return [*found, ok("loading", f"{_waiting(facts)} for the next start.")]
    return found or [ok("loading", f"{_waiting(facts)}; the spool takes {size(facts.spool_bytes)}.")]


def _waiting(facts: LoadingFacts) -> str:
    return "1 request waits" if facts.requests == 1 else f"{facts.requests:,} requests wait"


def check_readiness(answer: Mapping[str, Any]) -> list[Finding]:
    """What `/readyz` answers. Raises LookupError if it is of another version."""
    reasons = [
        problem("server", f"The server's {name} does not work: {part['detail']}.", "See the server's log.")
        for name, part in answer["components"].items()
        if not part["ready"]
    ]
    return reasons or [ok("server", "The server and all its parts work.")]


@dataclass(frozen=True, slots=True)
class PortFacts:
    """One address."""

    name: str
    """What listens there, and the setting of its port."""
    address: str
    answers: bool
    """Of a running server: whether it takes connections. If none runs: whether somebody else does."""
    who: str
    """Who else it is, as far as can be seen."""


def running_ports(addresses: Mapping[str, str]) -> list[PortFacts]:
    """Where the running server says it listens."""
    found = []
    for name, address in addresses.items():
        parts = urlsplit(address)
        found.append(PortFacts(name, address, _connects(parts.hostname or "", parts.port or 0), ""))
    return found


def wanted_ports(ports: Mapping[str, tuple[str, int]]) -> list[PortFacts]:
    """Where a server would listen; 0 is any free port."""
    from collector.errors import CollectorError
    from collector.listen import Endpoint, bound_socket, host_port

    found = []
    for name, (host, port) in ports.items():
        if port:
            is_taken = False
            try:
                bound_socket(Endpoint(host, port, name)).close()
            except CollectorError:
                is_taken = True
            who = _listener(port, Path("/proc")) if is_taken else ""
            found.append(PortFacts(name, host_port(host, port), is_taken, who))
    return found


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True


def _listener(port: int, proc: Path) -> str:
    """Who listens on a port, e.g. "nginx (process 12)"; empty if it cannot be seen."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / name).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for handle in proc.glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(handle.readlink()) in inodes:
                pid = handle.parents[1]
                return f"{(pid / 'comm').read_text().strip()} (process {pid.name})"
    return ""


def check_ports(facts: list[PortFacts], *, is_running: bool) -> list[Finding]:
    """Ours answer, and are free where nothing runs."""
    if is_running:
        dumb = [
            problem(
                "ports",
                f"{each.name} at {each.address} takes no connections.",
                "See the server's log; a firewall on this machine may be in between.",
            )
            for each in facts
            if not each.answers
        ]
        return dumb or [ok("ports", f"{', '.join(each.address for each in facts)} take connections.")]
    taken = [
        problem(
            "ports",
            f"{each.name}: {each.address} is taken by {each.who or 'somebody who cannot be seen from here'}.",
            "Stop that one, or choose another port; 0 takes any free one.",
        )
        for each in facts
        if each.answers
    ]
    return taken or [ok("ports", f"{', '.join(each.address for each in facts) or 'Any port'}: free.")]
