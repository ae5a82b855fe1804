"""Metric points as bytes: whole series at a time, twenty bytes a point. Used by the usage and start writers.

The trap: `as_double` and `as_int` differ in one tag byte only, so the dtype of the values decides which is
written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope

from ingest.signals import Signal
from lowtide.demo.packing import Request
from lowtide.demo.wire import Integers, Plain, attributes, fixed64, varint
from lowtide.demo.wire import field as wire_field

Values = npt.NDArray[np.float64] | npt.NDArray[np.int64]
KUBELET = wire_field(
    1,
    InstrumentationScope(
        name="github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kubeletstatsreceiver",
        version="0.139.0",
    ).SerializeToString(),
)
CLUSTER = wire_field(
    1,
    InstrumentationScope(
        name="github.com/open-telemetry/opentelemetry-collector-contrib/receiver/k8sclusterreceiver",
        version="0.139.0",
    ).SerializeToString(),
)
HOST = wire_field(
    1,
    InstrumentationScope(
        name="github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver",
        version="0.139.0",
    ).SerializeToString(),
)
CUMULATIVE = 2
TIME_TAG, START_TAG, DOUBLE_TAG, INT_TAG = 0x19, 0x11, 0x21, 0x31


@dataclass(frozen=True, slots=True)
class Instrument:
    """Name, unit and kind of a metric. A sum is cumulative."""

    name: str
    unit: str
    is_sum: bool = False
    monotonic: bool = True

    @property
    def head(self) -> bytes:
        """The fields before the data."""
        return wire_field(1, self.name.encode()) + wire_field(3, self.unit.encode())

    def metric(self, points: bytes) -> bytes:
        """The metric as field 2 of ScopeMetrics."""
        if self.is_sum:
            tail = b"\x10" + bytes([CUMULATIVE]) + (b"\x18\x01" if self.monotonic else b"")
            return wire_field(2, self.head + wire_field(7, points + tail))
        return wire_field(2, self.head + wire_field(5, points))


def series(
    times_ns: Integers,
    values: Values,
    *,
    start_ns: int | None = None,
    labels: Mapping[str, Plain] | None = None,
) -> bytes:
    """The data points of one series, as repeated field 1."""
    prefix = b"" if start_ns is None else bytes([START_TAG]) + start_ns.to_bytes(8, "little")
    suffix = b"".join(wire_field(7, pair.SerializeToString()) for pair in attributes(labels or {}))
    length = len(prefix) + 18 + len(suffix)
    head = b"\x0a" + varint(length) + prefix
    rows = np.empty((len(times_ns), len(head) + 18 + len(suffix)), dtype=np.uint8)
    rows[:, : len(head)] = np.frombuffer(head, dtype=np.uint8)
    at = len(head)
    rows[:, at] = TIME_TAG
    rows[:, at + 1 : at + 9] = fixed64(times_ns)
    rows[:, at + 9] = DOUBLE_TAG if values.dtype.kind == "f" else INT_TAG
    rows[:, at + 10 : at + 18] = fixed64(values)
    if suffix:
        rows[:, at + 18 :] = np.frombuffer(suffix, dtype=np.uint8)
    return rows.tobytes()


@dataclass(slots=True)
class MetricPack:
    """Resources with their metrics, cut into requests when they grow."""

    points_each: int
    parts: list[bytes] = field(default_factory=list)
    points: int = 0
    due_ns: int = 0

    def add(self, resource: bytes, scopes: Mapping[bytes, list[bytes]], points: int, due_ns: int) -> None:
        """One resource: scope field -> metrics."""
        if not points:
            return
        payload = resource + b"".join(
            wire_field(2, scope + b"".join(metrics)) for scope, metrics in scopes.items() if metrics
        )
        self.parts.append(wire_field(1, payload))
        self.points += points
        self.due_ns = max(self.due_ns, due_ns)

    def cut(self, *, all_of_it: bool = False) -> Iterator[Request]:
        """A request, if there is enough for one (or anything at all, with `all_of_it`)."""
        if self.points and (all_of_it or self.points >= self.points_each):
            yield Request(Signal.METRICS, b"".join(self.parts), self.points, self.due_ns)
            self.parts, self.points, self.due_ns = [], 0, 0
