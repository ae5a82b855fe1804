"""Looks at everything: gathers the facts of an installation, running or not, and has them judged. `lowtide
doctor` calls it.

Nothing is changed and no lock is taken. What cannot be looked at is a finding too, and keeps nothing else
from being looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ingest.loader.trust import trusted_since
from ingest.spool.errors import SpoolError
from ingest.spool.inspect import look
from ingest.store.engine import Engine
from ingest.store.errors import StoreError
from ingest.store.freezing import deduplication_windows
from ingest.store.migrate import windows
from ingest.store.target import Embedded
from lowtide.doctor import machine, place, service, software
from lowtide.doctor.findings import Finding, ok, problem, warning
from lowtide.errors import LowtideError
from lowtide.instance_lock import RunningInstance, read_running
from lowtide.server_client import ServerClient
from lowtide.store_access import spool_directory, target_of

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide.settings import Settings
    from lowtide.settings_load import Loaded


@dataclass(frozen=True)
class Examination:
    """One look at an installation; facts that several checks need are gathered once."""

    loaded: Loaded[Settings]
    connect: Callable[[], ServerClient | None]
    """A client of the running server, or None if none runs."""

    @property
    def settings(self) -> Settings:
        """Those in effect."""
        return self.loaded.settings

    @cached_property
    def running(self) -> RunningInstance | None:
        """The server that owns the data directory. Raises InstanceError."""
        return read_running(self.settings.data)

    @cached_property
    def spool(self) -> place.SpoolFacts:
        """What the spool's files say. Raises OSError."""
        return place.spool_facts(spool_directory(self.settings))

    def findings(self) -> list[Finding]:
        """Of every check, in the order in which a person would ask."""
        checks: Mapping[str, Callable[[], list[Finding]]] = {
            "settings": lambda: software.check_settings(software.setting_facts(self.loaded)),
            "versions": self._versions,
            "limits": lambda: machine.check_limits(
                machine.limit_facts(self.running.pid if self.running else None)
            ),
            "clock": lambda: machine.check_clock(machine.clock_facts(self.spool.newest_ns)),
            "ports": self._ports,
            "disk": self._disk,
        }
        inside: Mapping[str, Callable[[], list[Finding]]] = {
            "fsync": lambda: machine.check_fsync(machine.fsync_facts(self.settings.data)),
            "permissions": lambda: place.check_permissions(place.permission_facts(self.settings.data)),
            "use": lambda: place.check_use(
                place.use_facts(self.settings.data, spool_directory(self.settings))
            ),
            "server": self._server,
            "loading": self._loading,
            "quarantine": lambda: place.check_quarantine(self.spool),
            "deduplication": self._windows,
        }
        found = [each for name, check in checks.items() for each in guarded(name, check)]
        if not self.settings.data.is_dir():
            missing = f"There is no data directory {self.settings.data} yet; the first start makes it."
            return [*found, ok("data", missing)]
        return found + [each for name, check in inside.items() for each in guarded(name, check)]

    def _versions(self) -> list[Finding]:
        embedded = isinstance(target_of(self.settings), Embedded)
        return software.check_versions(software.version_facts(embedded=embedded))

    def _ports(self) -> list[Finding]:
        if self.running is not None:
            return service.check_ports(service.running_ports(self.running.addresses), is_running=True)
        settings = self.settings
        wanted = {
            "api.port": (settings.listen, settings.api.port),
            "collector.http_port": (settings.collector.listen, settings.collector.http_port),
            "collector.grpc_port": (settings.collector.listen, settings.collector.grpc_port),
        }
        return service.check_ports(service.wanted_ports(wanted), is_running=False)

    def _disk(self) -> list[Finding]:
        """Of the data directory, and of the store and the spool where they lie on disks of their own."""
        settings = self.settings
        data = next(each for each in (settings.data, *settings.data.resolve().parents) if each.exists())
        used = self._spool_bytes()
        folders = {_device(data): data}
        for folder in (spool_directory(settings), settings.data / "store"):
            if folder.is_dir():
                folders.setdefault(_device(folder), folder)
        spool = spool_directory(settings)
        spools = _device(spool) if spool.is_dir() else _device(data)
        return [
            finding
            for device, folder in folders.items()
            for finding in machine.check_disk(
                machine.disk_facts(
                    folder, max(0, settings.spool.limit_bytes - used) if device == spools else 0
                )
            )
        ]

    def _spool_bytes(self) -> int:
        spool = spool_directory(self.settings)
        return sum(path.stat().st_size for path in spool.glob("*/*.seg")) if spool.is_dir() else 0

    def _server(self) -> list[Finding]:
        client = self.connect()
        if client is None:
            return [ok("server", "No server runs.")]
        with client:
            return service.check_readiness(client.get_json("/readyz", accept=(503,)))

    def _loading(self) -> list[Finding]:
        client = self.connect()
        if client is not None:
            with client:
                answer: Any = client.get_json("/api/v1/pipeline")
            return service.check_loading(service.loading_facts(answer))
        spool = spool_directory(self.settings)
        if not spool.is_dir():
            return [ok("loading", "There is no spool yet.")]
        boot_id = trusted_since(target_of(self.settings))
        found = look(spool, limit_bytes=self.settings.spool.limit_bytes, boot_id=boot_id)
        waiting = sum(each.records_waiting for each in found.signals)
        return service.check_loading(
            service.LoadingFacts(
                is_running=False, requests=waiting, lag_s=0, retrying="", spool_bytes=found.total_bytes,
                limit_bytes=found.limit_bytes,
            )
        )  # fmt: skip

    def _windows(self) -> list[Finding]:
        target = target_of(self.settings)
        if isinstance(target, Embedded):
            found = deduplication_windows(target)
        else:
            engine = Engine(target)
            try:
                with engine.session() as session:
                    found = windows(session)
            finally:
                engine.close()
        return place.check_windows(place.WindowFacts(found, self.spool.repeatable))


def guarded(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check finds, or that it could not look."""
    try:
        return check()
    except StoreError as error:
        return [problem(name, f"The store cannot be asked: {error}.", "Start it, or mend store.url.")]
    except (OSError, LookupError, ValueError, SpoolError, LowtideError) as error:
        hint = getattr(error, "hint", None)
        return [warning(name, f"This could not be looked at: {error}", hint or "Run as the user of Lowtide.")]


def _device(folder: Path) -> int:
    return folder.stat().st_dev
