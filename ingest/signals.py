"""The three kinds of telemetry, named once. Everyone below and above uses these names."""

from __future__ import annotations

from enum import StrEnum


class Signal(StrEnum):
    """One OTLP signal; its value is the path segment, the spool folder and the table prefix."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"
