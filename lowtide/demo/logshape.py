"""What a log record looks like: templates for the lines of endpoints, for failures and for the plain access
line.

Used by the trace writer. Bodies are text or structured; a run of `#` becomes digits of the request's
number. The trap: severity numbers are OTLP's (INFO = 9), not those of a logging library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from lowtide.demo.estate import Endpoint, Estate, LogLine, service_name
from lowtide.demo.spanshape import DIGITS, EXCEPTIONS, FRAMES
from lowtide.demo.wire import Plain, Template, any_value, attributes, number_of, octets_of, text_of

RECORD_FIELD = 2
SEVERITIES = {
    "DEBUG": SeverityNumber.SEVERITY_NUMBER_DEBUG,
    "INFO": SeverityNumber.SEVERITY_NUMBER_INFO,
    "WARN": SeverityNumber.SEVERITY_NUMBER_WARN,
    "ERROR": SeverityNumber.SEVERITY_NUMBER_ERROR,
}
ACCESS_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class Line:
    """A template and how often it is written."""

    template: Template
    share: float
    times: int
    only_failed: bool
    number: int
    """Distinguishes lines of one endpoint."""


class LogShapes:
    """Lines by endpoint, compiled once."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._made: dict[tuple[str, int], list[Line]] = {}

    def lines(self, key: str, endpoint: Endpoint) -> list[Line]:
        """What service `key` writes while it serves `endpoint`. Places: time, observed, trace, span, maybe
        digits."""
        found = self._made.get((key, id(endpoint)))
        if found is None:
            found = self._made[key, id(endpoint)] = self._compiled(key, endpoint)
        return found

    def _compiled(self, key: str, endpoint: Endpoint) -> list[Line]:
        name = endpoint.http or endpoint.rpc or endpoint.consume or endpoint.run or ""
        described = list(endpoint.logs)
        if endpoint.http is not None and not described:
            described.append(LogLine(body=f"{name} answered", share=ACCESS_SHARE))
        lines = [
            Line(
                _record(line.level, _marked(line.body), {"logger": name}),
                line.share,
                line.times,
                False,
                number,
            )
            for number, line in enumerate(described)
        ]
        sdk = self.estate.services[key].sdk
        language = self.estate.sdks[sdk].language if sdk else ""
        kind, message = EXCEPTIONS[language]
        values: dict[str, Plain] = {
            "logger": name,
            "exception.type": kind,
            "exception.message": message,
            "exception.stacktrace": FRAMES[language].format(service_name(key).replace("-", "")),
        }
        failure = _record("ERROR", f"{name} failed: {message}", values)
        return [*lines, Line(failure, 1.0, 1, True, len(lines))]


def _marked(body: str | dict[str, Any]) -> Plain:
    """The body with its `########` turned into the place for digits."""
    if isinstance(body, str):
        return body.replace("#" * DIGITS, text_of("digits", DIGITS))
    return {key: _marked(value) if isinstance(value, (str, dict)) else value for key, value in body.items()}


def _record(level: str, body: Plain, values: dict[str, Plain]) -> Template:
    record = LogRecord(
        time_unix_nano=number_of("time"),
        observed_time_unix_nano=number_of("observed"),
        severity_number=SEVERITIES[level],
        severity_text=level,
        body=any_value(body),
        attributes=attributes(values),
        flags=0x01,
        trace_id=octets_of("trace", 16),
        span_id=octets_of("span", 8),
    )
    places = {
        name: octets_of(name, 16 if name == "trace" else 8) for name in ("time", "observed", "trace", "span")
    }
    marked = text_of("digits", DIGITS).encode()
    if marked in record.SerializeToString():
        places["digits"] = marked
    return Template.compiled(RECORD_FIELD, record, places)
