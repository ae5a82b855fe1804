"""Every setting of Lowtide, composed from one model per package.

Commands get them through `lowtide.cli.invocation`; nobody else reads the environment. The trap: this imports
pydantic, so it is imported inside commands, never at the top of a module under `lowtide/cli/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from analytics.settings import AnalyticsSettings
from api.settings import ApiSettings
from collector.scrape.settings import ScrapeSettings
from collector.settings import CollectorSettings
from ingest.loader.settings import LoaderSettings
from ingest.spool.settings import SpoolSettings
from ingest.store.settings import StoreSettings
from lowtide.serve.settings import ServeSettings
from lowtide.settings_load import Conflict, Loaded, Sources, load
from lowtide.settings_sources import Flag, find_file
from lowtide.tls.settings import TlsSettings


class LogLevel(StrEnum):
    """The least severe event that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How events are written to stderr."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogSettings(BaseModel):
    """What Lowtide says about itself on stderr."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: LogLevel = Field(
        default=LogLevel.INFO,
        description="Least severe event that is written. info is silent in the steady state.",
    )
    format: LogFormat = Field(
        default=LogFormat.AUTO,
        description="json is one object a line; console is for people; auto takes console where stderr is a "
        "terminal.",
    )


class Settings(BaseModel):
    """All of them. Top-level ones concern the whole command, the sections one package each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default=Path("lowtide-data"),
        description="Directory that holds everything Lowtide keeps; created if missing. A relative path "
        "counts from the working directory, which suits a first try.",
    )
    listen: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address every port listens on, unless a section names its own. Any other than loopback "
        "takes TLS, and a token or client certificate with which somebody may send.",
    )
    insecure: bool = Field(
        default=False,
        description="Whether plain text may be spoken on an address other than loopback, where tokens and "
        "data can be read on their way. Tokens are asked for all the same. Off, because networks are "
        "rarely trusted that much, and not needed with TLS (section tls).",
    )
    time_zone: ZoneInfo = Field(
        default=ZoneInfo("UTC"),
        description="Time zone in which days, weeks and office hours are counted and times are shown. "
        "UTC, because it has no hour twice.",
    )
    currency: str = Field(
        default="USD",
        pattern=r"^[A-Z]{3}$",
        description="ISO 4217 code of the currency in which costs are shown. USD, the currency of the "
        "list prices.",
    )
    log: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()
    api: ApiSettings = ApiSettings()
    collector: CollectorSettings = CollectorSettings()
    scrape: ScrapeSettings = ScrapeSettings()
    spool: SpoolSettings = SpoolSettings()
    store: StoreSettings = StoreSettings()
    loader: LoaderSettings = LoaderSettings()
    serve: ServeSettings = ServeSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()

    @model_validator(mode="before")
    @classmethod
    def _share_listen(cls, given: Any) -> Any:
        """Sections that name no address of their own follow `listen`."""
        if not isinstance(given, dict) or "listen" not in given:
            return given
        collector = given.get("collector", {})
        if not isinstance(collector, dict):
            return given
        return {**given, "collector": {"listen": given["listen"], **collector}}


def load_settings(
    config: Path | None = None,
    *,
    overrides: Sequence[str] = (),
    flags: Sequence[Flag] = (),
    environ: Mapping[str, str] | None = None,
) -> Loaded[Settings]:
    """The settings of this process. `environ` is the process's own unless a test gives another.

    Raises SettingsError (exit code 2) with every problem found, each with its file and line, variable or
    flag.
    """
    environ = os.environ if environ is None else environ
    file = find_file(config, Path(), environ)
    return load(Settings, Sources(file, environ, overrides, flags), conflicts)


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Settings that do not go together."""
    if settings.currency != "USD" and settings.analytics.exchange_rate == 1:
        yield Conflict(
            "currency",
            f"currency is {settings.currency}, and prices are in US dollars. Set analytics.exchange_rate to "
            f"the units of {settings.currency} for one US dollar, or leave the currency at USD.",
        )
    yield from _ports(settings)
    addresses = {"listen": settings.listen}
    if settings.collector.listen != settings.listen:
        addresses["collector.listen"] = settings.collector.listen
    for name, address in addresses.items():
        if not settings.insecure and not settings.tls.is_on and not is_loopback(address):
            yield Conflict(
                name,
                f"{name} is {address}, which others than this machine may reach, and what is said there "
                "could be read on its way. Set tls.certificate and tls.key, listen on 127.0.0.1, or add "
                "--insecure if you trust the network in between.",
            )


def _ports(settings: Settings) -> Iterator[Conflict]:
    """Ports of ours that are the same; 0 takes any free one, so several may be 0."""
    ports = [
        ("api.port", settings.listen, settings.api.port),
        ("collector.http_port", settings.collector.listen, settings.collector.http_port),
        ("collector.grpc_port", settings.collector.listen, settings.collector.grpc_port),
    ]
    for (name, address, port), (other, other_address, other_port) in combinations(ports, 2):
        meet = address == other_address or not {address, other_address}.isdisjoint({"0.0.0.0", "::"})  # noqa: S104 - compared, not listened on
        if port == other_port != 0 and meet:
            yield Conflict(
                other,
                f"{name} and {other} are both {port}. Give each a port of its own; 0 takes any free one.",
            )


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address. Of host names, only `localhost` is taken for it."""
    if address == "localhost":
        return True
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def colours_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Whether colours may be used at all: `NO_COLOR` set to anything but nothing forbids them."""
    return not (os.environ if environ is None else environ).get("NO_COLOR")
