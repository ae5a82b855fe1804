"""Settings of the scraper, section `scrape`: which endpoints Lowtide asks for metrics. Composed in
`lowtide.settings`.

The names are those of Prometheus, with units. The trap: files that hold secrets or targets are not looked at
here, because every command reads the settings, and not each of them may read those files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MIB: Final = 1024 * 1024
FILE_TYPES: Final = (".json", ".yml", ".yaml")
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_TIMEOUT_S: Final = 10.0
RESERVED: Final = "__"
"""Begins labels that say how to scrape, and are not kept."""


class Scheme(StrEnum):
    """How a target is reached."""

    HTTP = "http"
    HTTPS = "https"


class Format(StrEnum):
    """What an endpoint may write."""

    OPENMETRICS = "openmetrics"
    TEXT = "text"


def address(text: str) -> str:
    """`host` or `host:port`. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or (found[2] and not 0 < int(found[2][1:]) < 65536):
        raise ValueError(f"{text!r} is no host:port; the scheme and the path have settings of their own")
    return text


def label_name(text: str) -> str:
    """A name that a label of a target may have. Raises ValueError."""
    if not _LABEL_NAME.fullmatch(text) or text.startswith(RESERVED):
        raise ValueError(f"{text!r} is no name of a label: letters, digits and _, and no {RESERVED} in front")
    return text


def url_path(text: str) -> str:
    """A path, without a query. Raises ValueError."""
    if not text.startswith("/") or text.startswith("//") or set(text) & set("?# \r\n\t\\"):
        raise ValueError(f"{text!r} is no path; what comes behind ? belongs to params")
    return text


def _pattern(text: str) -> str:
    if not text.endswith(FILE_TYPES):
        raise ValueError(f"{text!r} must end in .json, .yml or .yaml; a * may stand for part of a name")
    return text


def _proxy(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in text:
        raise ValueError("a proxy is http://host:port, without a password")
    return text


def _timeout_s(given: Mapping[str, Any]) -> float:
    """As in Prometheus, who scrapes more often than the usual timeout need not say another."""
    return min(_TIMEOUT_S, float(given.get("interval_s", _TIMEOUT_S)))


LocalPath = Annotated[Path, AfterValidator(Path.expanduser)]
Address = Annotated[str, AfterValidator(address)]
LabelName = Annotated[str, AfterValidator(label_name)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class ScrapeJob(BaseModel):
    """Endpoints that are scraped in the same way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200, description="The label `job`.")
    targets: tuple[Address, ...] = Field(default=(), max_length=100_000)
    file_sd: tuple[Pattern, ...] = Field(default=(), max_length=1000)
    labels: dict[LabelName, str] = Field(default={}, description="Of all its targets.")
    tenant: str = Field(default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    interval_s: float = Field(default=60.0, ge=0.1, le=86_400)
    timeout_s: float = Field(default_factory=_timeout_s, gt=0)
    scheme: Scheme = Scheme.HTTP
    path: Annotated[str, AfterValidator(url_path)] = "/metrics"
    params: dict[str, tuple[str, ...]] = Field(default={}, description="Of the URL, each with its values.")
    formats: tuple[Format, ...] = Field(
        default=(Format.OPENMETRICS, Format.TEXT), min_length=1, description="Asked for, the best one first."
    )
    fallback_format: Format | None = Field(
        default=None, description="Where the content type is none of them."
    )
    honor_labels: bool = Field(
        default=False, description="Whether a label of the page wins over the target's."
    )
    honor_timestamps: bool = Field(default=True, description="Whether times in the page count.")
    bearer_token_file: LocalPath | None = None
    username: str | None = None
    password_file: LocalPath | None = None
    ca_file: LocalPath | None = None
    server_name: str | None = Field(default=None, description="In the certificate, where it is not the host.")
    certificate_file: LocalPath | None = None
    key_file: LocalPath | None = None
    proxy_url: Annotated[str, AfterValidator(_proxy)] | None = None
    max_wire_bytes: int = Field(default=16 * MIB, ge=1024, description="Of a page as it travels.")
    max_body_bytes: int = Field(default=64 * MIB, ge=1024, description="Of a page, decompressed.")
    max_samples: int = Field(default=120_000, ge=1)
    max_labels: int = Field(default=128, ge=3, le=128)
    max_label_name_chars: int = Field(default=512, ge=1)
    max_label_value_chars: int = Field(default=4096, ge=1)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if not self.targets and not self.file_sd:
            raise ValueError("targets or file_sd must say whom to scrape")
        if self.timeout_s > self.interval_s:
            raise ValueError(f"timeout_s is {self.timeout_s:g}, more than interval_s, {self.interval_s:g}")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together; set both or none")
        if self.username is not None and self.bearer_token_file is not None:
            raise ValueError(
                "either bearer_token_file or username and password_file; one request has one of them"
            )
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together; set both or none")
        twice = [name for name, times in Counter(self.targets).items() if times > 1]
        if twice:
            raise ValueError(f"targets has {twice[0]} twice")
        return self


class ScrapeSettings(BaseModel):
    """Endpoints of Prometheus and OpenMetrics text that Lowtide asks for metrics itself. None as long as no
    job is named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: tuple[ScrapeJob, ...] = Field(
        default=(),
        max_length=1000,
        description="What is scraped: tables with `name` (the label job), `targets` (host:port) and "
        "`file_sd` (files of targets as Prometheus reads them, .json, .yml or .yaml, with * in the name), "
        "`labels`, `tenant` (default: default), `interval_s` (60), `timeout_s` (10, or "
        "the interval if that is less), `scheme` (http), `path` "
        "(/metrics), `params`, `formats` (openmetrics, text), `fallback_format`, `honor_labels` (false), "
        "`honor_timestamps` (true), `bearer_token_file`, or `username` and `password_file`, `ca_file`, "
        "`server_name`, `certificate_file` and `key_file`, `proxy_url`, and the limits `max_wire_bytes` "
        "(16 MiB), `max_body_bytes` (64 MiB), `max_samples` (120000), `max_labels` (128), "
        "`max_label_name_chars` (512) and `max_label_value_chars` (4096). See docs/sources.md.",
    )
    file_sd_look_s: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Seconds between two looks at the files of file_sd. A file is read again only if it has "
        "changed.",
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        twice = [name for name, times in Counter(job.name for job in self.jobs).items() if times > 1]
        if twice:
            raise ValueError(f"jobs has the name {twice[0]!r} twice; job and instance tell series apart")
        return self
