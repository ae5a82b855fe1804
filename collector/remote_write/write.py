"""Writing what the survey of a remote write request has found, as OTLP, compiled: resources, their metrics,
and what version 1 says of metrics in general. `collector.remote_write.translate` calls it. It writes from the
end to the beginning (`collector.remote_write.points`); the traps are those of `collector.remote_write.wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collector.remote_write.layout import (
    AT,
    END,
    EXPLICIT,
    EXPLICIT_GAUGE,
    EXPONENTIAL,
    FIRST,
    GAUGE,
    GROUP,
    HELP,
    INSTANCE_AT,
    INSTANCE_SIZE,
    JOB_AT,
    JOB_SIZE,
    KIND,
    LAST,
    NAME_AT,
    NAME_SIZE,
    OLDER,
    OLDER_METRIC,
    POINTS,
    SERIES,
    SUM,
    UNIT,
)
from collector.remote_write.points import (
    NO_SAMPLE,
    NO_VALUE,
    put_bytes,
    put_head,
    put_series,
    put_small,
    put_time,
)
from collector.remote_write.wire import Body, Int, Memory, Numbers, read_field, read_signed
from ingest.compiled import address_of, compiled, part, routine

Write: TypeAlias = Callable[
    [
        Body, int, int, Body, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers, int,
        NDArray[np.uint8],
    ],
    int,
]  # fmt: skip
_SIGNATURE: Final = (
    "int64(Array(uint8, 1, 'C', True), int64, int64, Array(uint8, 1, 'C', True), int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64, uint8[::1])"
)

TYPE_NAMES: Final = (
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset",
)  # fmt: skip
_TYPES: Final = len(TYPE_NAMES)
_KEYS: Final = ("service.instance.id", "service.name", "service.namespace", "prometheus.type")
TEXTS: Final = "".join((*_KEYS, *TYPE_NAMES)).encode()
"""Texts of ours behind one another, for `write`."""
_INSTANCE_KEY_AT, _INSTANCE_KEY_SIZE = 0, 19
_NAME_KEY_AT, _NAME_KEY_SIZE = 19, 12
_NAMESPACE_KEY_AT, _NAMESPACE_KEY_SIZE = 31, 17
_TYPE_KEY_AT, _TYPE_KEY_SIZE = 48, 15
_TYPE_AT: Final = tuple(63 + sum(map(len, TYPE_NAMES[:number])) for number in range(_TYPES + 1))


@part
def _put_kind(out: Memory, to: Int, kind: Int) -> Int:
    """What a metric says of itself behind its points."""
    if kind == SUM:
        to = put_small(out, to, 3, 1)
    return put_small(out, to, 2, 2) if kind in (SUM, EXPONENTIAL, EXPLICIT) else to


@part
def _data_field(kind: Int) -> Int:
    if kind == GAUGE:
        return 5
    if kind == SUM:
        return 7
    return 9 if kind in (EXPLICIT, EXPLICIT_GAUGE) else 10


@routine
def _put_resource(memory: Memory, series: Memory, mine: Int, texts: Memory, out: Memory, to: Int) -> Int:
    """The resource that a job and instance are; nothing if there is neither. A job with one slash is
    namespace and name of a service, as OpenTelemetry writes it for Prometheus."""
    end = to
    at, size = series[mine + INSTANCE_AT], series[mine + INSTANCE_SIZE]
    if size:
        before = to
        to = put_bytes(memory, at, size, out, to, 1)
        to = put_head(out, to, 2, before)
        to = put_bytes(texts, _INSTANCE_KEY_AT, _INSTANCE_KEY_SIZE, out, to, 1)
        to = put_head(out, to, 1, before)
    at, size = series[mine + JOB_AT], series[mine + JOB_SIZE]
    slash = -1
    for place in range(size):
        if memory[at + place] == 0x2F:
            slash = place if slash == -1 else -2
            if slash == -2:
                break
    if slash == size - 1 or slash < 1:
        slash = -1
    if size:
        before = to
        to = put_bytes(memory, at + slash + 1, size - slash - 1, out, to, 1)
        to = put_head(out, to, 2, before)
        to = put_bytes(texts, _NAME_KEY_AT, _NAME_KEY_SIZE, out, to, 1)
        to = put_head(out, to, 1, before)
    if slash > 0:
        before = to
        to = put_bytes(memory, at, slash, out, to, 1)
        to = put_head(out, to, 2, before)
        to = put_bytes(texts, _NAMESPACE_KEY_AT, _NAMESPACE_KEY_SIZE, out, to, 1)
        to = put_head(out, to, 1, before)
    return to if to == end else put_head(out, to, 1, end)


@routine
def _put_metadata(memory: Memory, at: Int, end: Int, now_ms: Int, texts: Memory, out: Memory, to: Int) -> Int:
    """What a metric is, as a point without a sample: its type as an attribute."""
    kind = 0
    family_at = family_size = help_at = help_size = unit_at = unit_size = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if number == 1 and wire == 0:
            kind = read_signed(memory, start, stop)
        elif number == 2 and wire == 2:
            family_at, family_size = start, stop - start
        elif number == 4 and wire == 2:
            help_at, help_size = start, stop - start
        elif number == 5 and wire == 2:
            unit_at, unit_size = start, stop - start
    if kind < 0 or kind >= _TYPES:
        kind = 0
    metric_end = to
    to = put_small(out, to, 8, NO_SAMPLE | NO_VALUE)
    before = to
    to = put_bytes(texts, _TYPE_AT[kind], _TYPE_AT[kind + 1] - _TYPE_AT[kind], out, to, 1)
    to = put_head(out, to, 2, before)
    to = put_bytes(texts, _TYPE_KEY_AT, _TYPE_KEY_SIZE, out, to, 1)
    to = put_head(out, to, 7, before)
    to = put_time(out, to, 3, now_ms)
    to = put_head(out, to, 1, metric_end)
    to = put_head(out, to, 5, metric_end)
    if unit_size:
        to = put_bytes(memory, unit_at, unit_size, out, to, 3)
    if help_size:
        to = put_bytes(memory, help_at, help_size, out, to, 2)
    to = put_bytes(memory, family_at, family_size, out, to, 1)
    return put_head(out, to, 2, metric_end)


def write(
    body: Body,
    version: int,
    now_ms: int,
    texts_: Body,
    symbols_: Numbers,
    labels_: Numbers,
    own_labels_: Numbers,
    found_: Numbers,
    series_: Numbers,
    metrics_: Numbers,
    resources_: Numbers,
    resource_count: int,
    out_: NDArray[np.uint8],
) -> int:
    """Write the translation of what the survey has found good to the end of `out`, and say where it
    begins."""
    memory = address_of(body)
    texts = address_of(texts_)
    symbols = address_of(symbols_)
    labels = address_of(labels_)
    own_labels = address_of(own_labels_)
    found = address_of(found_)
    series = address_of(series_)
    metrics = address_of(metrics_)
    resources = address_of(resources_)
    out = address_of(out_)
    symbol_count = len(symbols_) // 2
    to = len(out_)
    if version == 1:
        at, end = 0, len(body)
        while at < end:
            number, wire, start, stop, at = read_field(memory, at, end)
            if number == 3 and wire == 2:
                to = _put_metadata(memory, start, stop, now_ms, texts, out, to)
        if to < len(out_):
            to = put_head(out, to, 2, len(out_))
            to = put_head(out, to, 1, len(out_))
    for resource in range(resource_count - 1, -1, -1):
        resource_end = to
        metric = resources[GROUP * resource + LAST]
        while metric >= 0:
            metric_end = to
            first = SERIES * metrics[GROUP * metric + FIRST]
            kind = series[first + KIND]
            to = _put_kind(out, to, kind)
            one = metrics[GROUP * metric + LAST]
            while one >= 0:
                mine = SERIES * one
                to = put_series(
                    memory, series[mine + AT], series[mine + END], series[mine + POINTS], kind, version,
                    symbols, symbol_count, labels, own_labels, found, out, to,
                )  # fmt: skip
                one = series[mine + OLDER]
            to = put_head(out, to, _data_field(kind), metric_end)
            if version == 2:
                for field in (3, 2):
                    symbol = 2 * series[first + (UNIT if field == 3 else HELP)]
                    if symbols[symbol + 1]:
                        to = put_bytes(memory, symbols[symbol], symbols[symbol + 1], out, to, field)
            to = put_bytes(memory, series[first + NAME_AT], series[first + NAME_SIZE], out, to, 1)
            to = put_head(out, to, 2, metric_end)
            metric = metrics[GROUP * metric + OLDER_METRIC]
        to = put_head(out, to, 2, resource_end)
        to = _put_resource(memory, series, SERIES * resources[GROUP * resource + FIRST], texts, out, to)
        to = put_head(out, to, 1, resource_end)
    return to


@cache
def load() -> Write:
    """The compiled function: read from the cache on disk, or compiled, which takes some seconds."""
    return compiled(_SIGNATURE, write)
