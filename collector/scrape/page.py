"""What a page of metrics says, in Prometheus text 0.0.4 or OpenMetrics 1.0. `collector.scrape.reading` asks.

The parsers are prometheus-client's. They read line by line, so limits and the deadline are looked at with
each line, and an error has its number. Two traps: for text 0.0.4 that library renames counters whose name
does not end in `_total`, which Envoy's do not, so it is told of another type, which keeps names; and it gives
`_created` of OpenMetrics as a sample, where it is the start of the others.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.openmetrics.parser import text_fd_to_metric_families as read_openmetrics
from prometheus_client.parser import text_fd_to_metric_families as read_text

from collector.remote_write.message import Described, Example
from collector.scrape.errors import Reason, ScrapeError
from collector.scrape.settings import Format

_TYPE: Final = re.compile(r'(\s*#\s*TYPE\s+(?:"(?:[^"\\]|\\.)*"|\S+)\s+)(\S+)\s*')
_SUFFIXED: Final = re.compile(r"# TYPE (\S+)(_total counter|_info info)\n?")
_UNRENAMED: Final = "stateset"
"""A type that text 0.0.4 does not have, and that the library leaves alone."""
_TEXT_TYPES: Final = {
    **{name: name for name in ("gauge", "histogram", "summary", "untyped", "unknown")},
    "counter": _UNRENAMED,
}
_CREATED: Final = "_created"
_BY_BUCKET: Final = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}
MAX_LINE_CHARS: Final = 512 * 1024
"""The parsers take quadratic time over the labels of a line: some seconds for one so long, hours for one that
is all of a page."""
_CHARS_BETWEEN_LOOKS: Final = 64 * 1024
"""At the clock."""
_MALFORMED: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""What the parsers raise where they do not find what they expect."""


@dataclass(frozen=True, slots=True)
class Found:
    """A sample of a page. Times are ms since 1970; `time_ms` None: it has none of its own."""

    name: str
    labels: Mapping[str, str]
    value: float
    time_ms: int | None
    start_ms: int
    described: Described
    example: Example | None


def read_page(body: bytes, written: Format, *, max_samples: int, deadline: float) -> Iterator[Found]:
    """The samples of a page, in its order.

    `deadline` is on the clock of `time.monotonic`. Raises ScrapeError with PARSE, SAMPLES or TIMEOUT, perhaps
    after some samples.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ScrapeError(Reason.PARSE, f"the page is not UTF-8, at byte {error.start}") from error
    lines = _Lines(text, written, max_samples, deadline)
    read: Callable[[Any], Iterable[Any]] = read_text
    given: Iterable[str] = lines
    if written is Format.OPENMETRICS:
        read, given = read_openmetrics, _unsuffixed(lines)
    try:
        for family in read(given):
            yield from _of_family(family, written)
    except _MALFORMED as error:
        why = f": {error}"[:200] if str(error) else ""
        raise ScrapeError(
            Reason.PARSE, f"the page is not {written.value}, at or before line {lines.number}{why}"
        ) from error


class _Lines:
    """The lines of a page for a parser, which takes them one by one."""

    def __init__(self, text: str, written: Format, max_samples: int, deadline: float) -> None:
        self._lines = io.StringIO(text, newline="\n")
        self._is_text = written is Format.TEXT
        self._max_samples = max_samples
        self._deadline = deadline
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        samples = chars = 0
        for line in self._lines:
            self.number += 1
            chars += len(line)
            if len(line) > MAX_LINE_CHARS:
                raise ScrapeError(
                    Reason.TOO_LARGE,
                    f"line {self.number} of the page has more than {MAX_LINE_CHARS} characters",
                )
            if chars > _CHARS_BETWEEN_LOOKS or not self.number % 256:
                chars = 0
                if time.monotonic() > self._deadline:
                    raise ScrapeError(Reason.TIMEOUT, "the page took too long to read")
            if line.lstrip().startswith("#"):
                yield self._comment(line) if self._is_text else line
                continue
            samples += bool(line.strip())
            if samples > self._max_samples:
                raise ScrapeError(
                    Reason.SAMPLES, f"the page has more than max_samples, {self._max_samples} samples"
                )
            yield line

    @staticmethod
    def _comment(line: str) -> str:
        found = _TYPE.fullmatch(line)
        if found is None:
            return line
        if found[2] not in _TEXT_TYPES:
            raise ValueError(f"{found[2][:40]!r} is no type")
        return f"{found[1]}{_TEXT_TYPES[found[2]]}\n"


def _unsuffixed(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a page in OpenMetrics with counters and infos called what it calls them.

    That is without the `_total` and `_info` of their samples. kube-state-metrics (since 2.8) calls them by
    their samples, which Prometheus takes and the parser does not.
    """
    held = full = short = ""
    for line in lines:
        named = _SUFFIXED.fullmatch(line)
        if named is not None:
            suffix, kind = named[2].split()
            short, full = named[1], named[1] + suffix
        if held:  # a HELP comes before its TYPE, as a rule
            yield _called(held, full, short)
            held = ""
        if named is not None:
            yield f"# TYPE {short} {kind}\n"
        elif line.startswith("# HELP "):
            held = line
        else:
            yield _called(line, full, short) if line.startswith("# UNIT ") else line
    if held:
        yield held


def _called(line: str, full: str, short: str) -> str:
    """A HELP or UNIT of what is called `full`, of `short`."""
    name = line.split(" ", 3)[2].rstrip("\n")
    return line.replace(full, short, 1) if full and name == full else line


def _of_family(family: Any, written: Format) -> Iterator[Found]:
    kind = family.type
    if written is Format.TEXT and kind == _UNRENAMED:
        kind = "counter"
    described = Described(kind, family.documentation, family.unit)
    starts: dict[frozenset[tuple[str, str]], int] = {}
    created = f"{family.name}{_CREATED}"
    has_starts = written is Format.OPENMETRICS and kind in ("counter", "histogram", "summary")
    if has_starts:
        starts = {
            frozenset(sample.labels.items()): _ms(sample.value * 1000)
            for sample in family.samples
            if sample.name == created
        }
    for sample in family.samples:
        if starts and sample.name == created:
            continue
        if sample.value is None:
            raise ValueError("native histograms in text are not read")
        yield Found(
            sample.name, sample.labels, float(sample.value), _time(sample.timestamp),
            _start(starts, sample.labels, _BY_BUCKET.get(kind)) if starts else 0, described,
            _example(sample.exemplar),
        )  # fmt: skip


def _start(
    starts: Mapping[frozenset[tuple[str, str]], int], labels: Mapping[str, str], bucket: str | None
) -> int:
    return starts.get(frozenset(pair for pair in labels.items() if pair[0] != bucket), 0)


def _example(found: Any) -> Example | None:
    if found is None:
        return None
    return Example(sorted(found.labels.items()), float(found.value), _time(found.timestamp) or 0)


def _time(stamp: Any) -> int | None:
    """In ms, rounded as Prometheus does; None for none."""
    return None if stamp is None else _ms(float(stamp) * 1000)


def _ms(number: float) -> int:
    found = round(number)
    if abs(found) >= 1 << 63:
        raise ValueError("a time is out of range")
    return found
