"""Writing remote write 2.0 requests ourselves, for what Lowtide fetches: what was scraped and what is
imported take the way of what a Prometheus sends. `collector.scrape` and `lowtide.imports` write them.

The message is io.prometheus.write.v2.Request, in the fields that are needed; its descriptor is made here,
because no package of ours to depend on has it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STALE: Final[float] = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
"""Says that a series has ended."""
NOT_A_NUMBER: Final[float] = struct.unpack("<d", (0x7FF8000000000001).to_bytes(8, "little"))[0]
"""As Prometheus writes NaN, whoever measured it."""
TYPES: Final = {
    name: number
    for number, name in enumerate(
        ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
    )
}

_F: Final = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "io.prometheus.write.v2"
_MESSAGES: Final[dict[str, list[tuple[str, int, str, bool]]]] = {
    "Sample": [
        ("value", 1, "DOUBLE", False), ("timestamp", 2, "INT64", False),
        ("start_timestamp", 3, "INT64", False),
    ],
    "Exemplar": [
        ("labels_refs", 1, "UINT32", True), ("value", 2, "DOUBLE", False), ("timestamp", 3, "INT64", False),
    ],
    "Metadata": [
        ("type", 1, "INT32", False), ("help_ref", 3, "UINT32", False), ("unit_ref", 4, "UINT32", False),
    ],
    "TimeSeries": [
        ("labels_refs", 1, "UINT32", True), ("samples", 2, "Sample", True),
        ("exemplars", 4, "Exemplar", True), ("metadata", 5, "Metadata", False),
    ],
    "Request": [("symbols", 4, "STRING", True), ("timeseries", 5, "TimeSeries", True)],
}  # fmt: skip

Labels = Sequence[tuple[str, str]]
"""Names and values, in order by name, `__name__` among them."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a metric is: the word of OpenMetrics for its type, its help and its unit."""

    kind: str = "unknown"
    help: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A value at a time, in ms since 1970. `start_ms` is when counting began; 0 if nobody knows."""

    time_ms: int
    value: float
    start_ms: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """An exemplar."""

    labels: Labels
    value: float
    time_ms: int


class RequestWriter:
    """Collects series; `take` makes a request of them and begins anew."""

    def __init__(self) -> None:
        self._request: Any = _REQUEST()
        self._symbols: dict[str, int] = {"": 0}
        self.samples = 0
        """In the request that is being made."""
        self.expected_bytes = 0
        """What its translation takes about: labels stand with each sample there."""

    def add(
        self, labels: Labels, points: Iterable[Point], described: Described, examples: Iterable[Example] = ()
    ) -> None:
        """One series."""
        symbol = self._symbol
        series = self._request.timeseries.add()
        series.labels_refs.extend([symbol(text) for pair in labels for text in pair])
        count = 0
        for point in points:
            value = point.value if point.value == point.value else _nan_of(point.value)
            series.samples.add(value=value, timestamp=point.time_ms, start_timestamp=point.start_ms)
            count += 1
        for example in examples:
            series.exemplars.add(
                labels_refs=[symbol(text) for pair in example.labels for text in pair],
                value=example.value,
                timestamp=example.time_ms,
            )
        series.metadata.type = TYPES.get(described.kind, 0)
        series.metadata.help_ref = symbol(described.help)
        series.metadata.unit_ref = symbol(described.unit)
        self.samples += count
        self.expected_bytes += count * (40 + sum(len(name) + len(value) + 12 for name, value in labels))

    def take(self) -> bytes:
        """The request, serialised; empty if nothing was added."""
        if not self._request.timeseries:
            return b""
        self._request.symbols.extend(self._symbols)
        body: bytes = self._request.SerializeToString(deterministic=True)
        self.__init__()  # type: ignore[misc]  # begins anew
        return body

    def _symbol(self, text: str) -> int:
        return self._symbols.setdefault(text, len(self._symbols))


def _nan_of(value: float) -> float:
    """Prometheus knows two kinds of NaN; all but the marker are one."""
    return value if struct.pack("<d", value) == struct.pack("<d", STALE) else NOT_A_NUMBER


def _request_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            added = message.field.add(name=field_name, number=number)
            added.label = _F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
            if kind in _MESSAGES:
                added.type, added.type_name = _F.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                added.type = getattr(_F, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Request"))


_REQUEST: Final = _request_class()
