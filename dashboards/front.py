"""The front page: what everything costs, what sits idle, what could sleep, and how to send telemetry.
`api.page` asks.

Pure: from answers to HTML. The trap: every name on it comes from telemetry, so everything is escaped by
the template engine and nothing is ever marked as safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import cache
from hashlib import sha256
from importlib.resources import files
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from analytics.documents import CostAnswer, CostRow, IdleAnswer, IdleRow, RecommendAnswer
from dashboards import notation

SHOWN_COSTS = 50
SHOWN_IDLE = {
    "silent": 10, "long tail": 10, "fixed hours": 5, "standby": 5, "no telemetry": 5,
    "works without requests": 5, "too early to say": 0,
}  # fmt: skip
"""Lines by verdict, so that the rare ones are not cut off by a long list of others."""
SHOWN_RECOMMENDATIONS = 10

_WINDOWS = (("24h", "a day"), ("7d", "a week"), ("4w", "four weeks"), ("9w", "nine weeks"))
_KEYS = (
    ("", "application and team"),
    ("service", "service"),
    ("workload", "workload"),
    ("namespace", "namespace"),
)
_LINES = {
    "platform": "the clusters' own services",
    "unowned": "nobody is known to own it",
    "idle": "capacity nobody reserved",
    "system": "what nodes keep for themselves",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one is: the state of the page, and the only maker of links."""

    window: str
    by: str
    """The key of the cost table's lines; empty for the two that are shown first."""

    @property
    def path(self) -> str:
        """The page itself."""
        return "/?" + urlencode({"window": self.window} | ({"by": self.by} if self.by else {}))

    def data(self, what: str, by: str = "") -> str:
        """The same as JSON."""
        return f"/api/v1/{what}?" + urlencode(({"by": by} if by else {}) | {"window": self.window})

    def command(self, what: str, by: str = "") -> str:
        """The command that prints the same."""
        return " ".join(["lowtide", what, *(["--by", by] if by else []), "--window", self.window])

    @property
    def windows(self) -> Iterator[tuple[str, str, bool]]:
        """Other windows: link, name, whether it is this one."""
        for window, name in _WINDOWS:
            yield replace(self, window=window).path, name, window == self.window

    @property
    def keys(self) -> Iterator[tuple[str, str, bool]]:
        """Other tables of costs, likewise."""
        for by, name in _KEYS:
            yield replace(self, by=by).path, name, by == self.by


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one window. There is at least one table of costs; all have the same total."""

    costs: Sequence[CostAnswer]
    idle: IdleAnswer
    recommend: RecommendAnswer

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show: no cost, no workload."""
        return not (
            any(row.line != "total" for row in self.costs[0].rows) or self.idle.rows or self.recommend.rows
        )

    @property
    def total(self) -> CostRow | None:
        """The line all others add up to."""
        return next((row for row in self.costs[0].rows if row.line == "total"), None)

    @property
    def idle_capacity(self) -> CostRow | None:
        """The line of what nobody reserved."""
        return next((row for row in self.costs[0].rows if row.line == "idle"), None)

    @property
    def idle_shown(self) -> Sequence[IdleRow]:
        """The first lines of every verdict; of those it is too early to judge, there is nothing to show."""
        rows: list[IdleRow] = []
        for verdict in self._verdicts:
            rows += [row for row in self.idle.rows if row.verdict == verdict][: SHOWN_IDLE[verdict]]
        return rows

    @property
    def idle_hidden(self) -> Sequence[str]:
        """How many of each verdict are left out, in words."""
        every: Counter[str] = Counter(row.verdict for row in self.idle.rows)
        shown: Counter[str] = Counter(row.verdict for row in self.idle_shown)
        return [f"{every[one] - shown[one]} {one}" for one in self._verdicts if every[one] > shown[one]]

    @property
    def _verdicts(self) -> Sequence[str]:
        return tuple(dict.fromkeys(row.verdict for row in self.idle.rows))

    @property
    def notes(self) -> Sequence[str]:
        """What to know about them, each once."""
        every = (*self.costs, self.idle, self.recommend)
        return tuple(dict.fromkeys(note for answer in every for note in answer.notes))


@dataclass(frozen=True, slots=True)
class Flow:
    """How telemetry comes in: the state of the pipeline, in figures for people."""

    records_accepted: int
    records_refused: int
    requests_waiting: int
    waiting_bytes: int
    lag_s: float
    last_insert_at: datetime | None
    problems: Sequence[str]
    """What is wrong with it, as sentences."""


@dataclass(frozen=True, slots=True)
class Front:
    """Everything on the page. `answers` is None if there are none; `problem` says why."""

    version: str
    place: Place
    answers: Answers | None
    problem: str
    flow: Flow
    zone: tzinfo
    otlp_http: str
    otlp_grpc: str
    asks_who: bool = False
    """Whether senders must prove who they are."""

    @property
    def is_empty(self) -> bool:
        """Whether the way to send telemetry is what a visitor needs first."""
        return self.answers is not None and self.answers.is_empty

    @property
    def otlp_grpc_target(self) -> str:
        """The gRPC address without its scheme, as the Collector's exporter wants it."""
        return self.otlp_grpc.partition("://")[2]

    @property
    def is_tls(self) -> bool:
        """Whether senders speak TLS."""
        return self.otlp_grpc.startswith("https:")


def render_front(front: Front) -> str:
    """The page as HTML."""
    environment = _environment()
    return environment.get_template("front.html").render(
        front=front,
        place=front.place,
        answers=front.answers,
        lines=_LINES,
        style=_style_version(),
        when=lambda at: notation.MISSING if at is None else notation.instant(at, front.zone),
        shown_costs=SHOWN_COSTS,
        shown_recommendations=SHOWN_RECOMMENDATIONS,
    )


def stylesheet() -> bytes:
    """The style sheet of every page."""
    return _stylesheet()


@cache
def _stylesheet() -> bytes:
    return files("dashboards").joinpath("static", "lowtide.css").read_bytes()


@cache
def _style_version() -> str:
    """Changes with the style sheet, so that a browser does not keep an old one."""
    return sha256(_stylesheet()).hexdigest()[:12]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dashboards"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        money=notation.money,
        exact=notation.exact,
        count=notation.count,
        share=notation.share,
        duration=notation.duration,
        size=notation.size,
    )
    return environment
