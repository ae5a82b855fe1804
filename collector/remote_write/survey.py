"""The first look at a remote write request, compiled: which series can be stored, which of them share a job
and an instance and so a resource, and of those which share a name and so a metric; how much memory the
translation can take. `collector.remote_write.translate` calls it. The traps are those of
`collector.remote_write.wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np

from collector.remote_write.grouping import group
from collector.remote_write.histograms import CUSTOM_COUNT, SIZES, read_histogram
from collector.remote_write.layout import (
    AT,
    BOUND,
    END,
    EXEMPLARS,
    FIRST_LOST,
    GAUGE,
    HELP,
    HISTOGRAMS,
    INSTANCE_SIZE,
    JOB_SIZE,
    KIND,
    LIMIT,
    LOST,
    NAME_AT,
    NAME_SIZE,
    OF_ONE,
    POINTS,
    POSITION,
    SAMPLES,
    SERIES,
    SUM,
    UNIT,
)
from collector.remote_write.wire import (
    BAD_REFERENCE,
    EMPTY,
    MALFORMED,
    MIXED,
    NO_NAME,
    NOT_UTF8,
    TOO_LARGE,
    Body,
    Int,
    Memory,
    Numbers,
    is_text,
    own_label,
    read_field,
    read_labels,
    read_signed,
)
from ingest.compiled import address_of, compiled, part, routine
from ingest.wire import eight_at

Count: TypeAlias = Callable[[Body, int], tuple[int, int, int]]
Survey: TypeAlias = Callable[
    [Body, int, int, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers, Numbers], int
]
_COUNT_SIGNATURE: Final = "UniTuple(int64, 3)(Array(uint8, 1, 'C', True), int64)"
_SURVEY_SIGNATURE: Final = (
    "int64(Array(uint8, 1, 'C', True), int64, uint64, int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1])"
)

# Types of metrics.
_COUNTER: Final = 1
_CLASSIC_HISTOGRAM: Final = 3
_SUMMARY: Final = 5
_BUCKET: Final = np.uint64(int.from_bytes(b"\0_bucket", "little"))
_COUNTED: Final = np.uint64(int.from_bytes(b"_count", "little"))


def count(body: Body, version: int) -> tuple[int, int, int]:
    """How many series, symbols and entries of metadata there are; the first is negative if the body cannot be
    read, and then is where, less one, negated."""
    memory = address_of(body)
    end = len(body)
    at = series = symbols = metadata = 0
    while at < end:
        start = at
        number, wire, _, _, at = read_field(memory, at, end)
        if at < 0:
            return -1 - start, 0, 0
        if wire != 2:
            continue
        if version == 1:
            series += number == 1
            metadata += number == 3
        else:
            series += number == 5
            symbols += number == 4
    return series, symbols, metadata


@routine
def _exemplar_bound(
    memory: Memory, at: Int, end: Int, version: Int, symbols: Memory, symbol_count: Int, labels: Memory
) -> Int:
    """How many bytes an exemplar may take, or the fault, negative."""
    count = read_labels(memory, at, end, version, symbols, symbol_count, labels)
    if count < 0:
        return count
    size = 64
    for label in range(count):
        size += labels[4 * label + 1] + labels[4 * label + 3] + 24
    return size


@part
def _kind_of(memory: Memory, type_of_metric: Int, name_at: Int, name_size: Int) -> Int:
    """What the samples of a metric are: those of a classic histogram or summary are counters but for the
    quantiles."""
    if type_of_metric == _COUNTER:
        return SUM
    if type_of_metric not in (_CLASSIC_HISTOGRAM, _SUMMARY):
        return GAUGE
    end = name_at + name_size
    if name_size > 4 and memory[end - 4] == 0x5F:
        is_sum = memory[end - 3] == 0x73 and memory[end - 2] == 0x75 and memory[end - 1] == 0x6D
        return SUM if is_sum else GAUGE
    if name_size > 7 and eight_at(memory, end - 8) & np.uint64(0xFFFFFFFFFFFFFF00) == _BUCKET:
        return SUM
    return SUM if name_size > 6 and eight_at(memory, end - 8) >> np.uint64(16) == _COUNTED else GAUGE


@part
def _is_sample(memory: Memory, at: Int, end: Int) -> bool:
    """Whether this can be read as one."""
    while at < end:
        number, wire, _, _, at = read_field(memory, at, end)
        if at < 0 or (number == 1 and wire != 1) or (number in (2, 3) and wire != 0):
            return False
    return True


@routine
def _survey_metadata(
    memory: Memory, at: Int, end: Int, symbols: Memory, symbol_count: Int, series: Memory, mine: Int
) -> Int:
    """What version 2 says of a series; its type, or the fault, negative."""
    kind = fault = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0 or (number <= 4 and wire != 0):
            return -MALFORMED
        if number == 1:
            kind = read_signed(memory, start, stop)
        elif number in (3, 4):
            symbol = read_signed(memory, start, stop)
            if symbol < 0 or symbol >= symbol_count:
                fault, symbol = -BAD_REFERENCE, 0
            elif symbols[2 * symbol + 1] < 0:
                fault, symbol = -NOT_UTF8, 0
            series[mine + (HELP if number == 3 else UNIT)] = symbol
    return fault if fault < 0 else max(0, kind)


@routine
def _survey_elements(  # noqa: C901 - one branch for each field
    memory: Memory, version: Int, symbols: Memory, symbol_count: Int, labels: Memory, found: Memory,
    series: Memory, mine: Int, facts: Memory,
) -> Int:  # fmt: skip
    """Count samples, histograms, exemplars and the bytes they may take beside labels (`OF_ONE`), and find
    what they are (`KIND`; below zero, if only the name can tell); 0, or the fault, negative."""
    at, end = series[mine + AT], series[mine + END]
    histograms_field = 4 if version == 1 else 3
    exemplars_field = 3 if version == 1 else 4
    fault = kind_of_metric = 0
    kind = -1
    for place in range(4):
        facts[OF_ONE + place] = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0:
            return -MALFORMED
        if wire != 2:
            continue
        result = 0
        if number == 2:
            facts[OF_ONE] += 1
            result = 0 if _is_sample(memory, start, stop) else -MALFORMED
        elif number == histograms_field:
            facts[OF_ONE + 1] += 1
            result = read_histogram(memory, start, stop, found)
            if result >= 0:
                facts[OF_ONE + 3] += 10 * (found[SIZES] + found[SIZES + 1]) + 16 * found[CUSTOM_COUNT] + 128
                if kind not in (-1, result):
                    fault = -MIXED
                kind = result
        elif number == exemplars_field:
            facts[OF_ONE + 2] += 1
            result = _exemplar_bound(memory, start, stop, version, symbols, symbol_count, labels)
            if result >= 0:
                facts[OF_ONE + 3] += result
        elif number == 5 and version == 2:
            result = _survey_metadata(memory, start, stop, symbols, symbol_count, series, mine)
            kind_of_metric = max(0, result)
        if result in (-MALFORMED, -TOO_LARGE):
            return result
        fault = min(fault, result) if result < 0 else fault
    series[mine + POINTS] = facts[OF_ONE] + facts[OF_ONE + 1]
    series[mine + KIND] = kind if kind >= 0 else -kind_of_metric - 1
    if facts[OF_ONE] and facts[OF_ONE + 1]:
        return -MIXED
    return -EMPTY if facts[OF_ONE] + facts[OF_ONE + 1] + facts[OF_ONE + 2] == 0 else fault


@routine
def _survey_one(
    memory: Memory, version: Int, symbols: Memory, symbol_count: Int, labels: Memory, found: Memory,
    series: Memory, mine: Int, facts: Memory,
) -> Int:  # fmt: skip
    """Look at the series whose facts begin at `mine`, with `AT` and `END`; 0, or the fault, negative."""
    fault = _survey_elements(memory, version, symbols, symbol_count, labels, found, series, mine, facts)
    if fault in (-MALFORMED, -TOO_LARGE):
        return fault
    samples, histograms, exemplars = facts[OF_ONE], facts[OF_ONE + 1], facts[OF_ONE + 2]
    label_count = read_labels(
        memory, series[mine + AT], series[mine + END], version, symbols, symbol_count, labels
    )
    if label_count in (-MALFORMED, -TOO_LARGE):
        return label_count
    size = 0
    for label in range(label_count):
        here = 4 * label
        own = own_label(memory, labels[here], labels[here + 1])
        if own:
            series[mine + 2 * own], series[mine + 2 * own + 1] = labels[here + 2], labels[here + 3]
        else:
            size += labels[here + 1] + labels[here + 3] + 24
    if label_count < 0:
        fault = label_count
    elif series[mine + NAME_SIZE] == 0:
        fault = -NO_NAME
    if fault < 0:
        facts[LOST - fault] += max(1, samples + histograms + exemplars)
        return fault
    if series[mine + KIND] < 0:
        type_of_metric = -series[mine + KIND] - 1
        series[mine + KIND] = _kind_of(
            memory, type_of_metric, series[mine + NAME_AT], series[mine + NAME_SIZE]
        )
    names = series[mine + NAME_SIZE] + series[mine + JOB_SIZE] + series[mine + INSTANCE_SIZE] + 192
    if version == 2:
        names += symbols[2 * series[mine + HELP] + 1] + symbols[2 * series[mine + UNIT] + 1]
    points = max(1, samples + histograms)
    if points > facts[LIMIT] // (size + 64):
        return -TOO_LARGE  # before the product is more than a number can hold
    facts[BOUND] += points * (size + 64) + facts[OF_ONE + 3] + names
    if facts[BOUND] > facts[LIMIT]:
        return -TOO_LARGE
    facts[SAMPLES] += samples
    facts[HISTOGRAMS] += histograms
    facts[EXEMPLARS] += exemplars
    return 0


@routine
def _is_metadata(memory: Memory, at: Int, end: Int) -> bool:
    """Whether this can be read as what a metric is."""
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if at < 0 or (number == 1 and wire != 0) or (number in (2, 4, 5) and wire != 2):
            return False
        if wire == 2 and not is_text(memory, start, stop):
            return False
    return True


@routine
def _find_symbols(memory: Memory, end: Int, symbols: Memory) -> None:
    """Where each symbol of version 2 begins and how long it is; -1 if it is no text."""
    at = place = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if number == 4 and wire == 2:
            symbols[place] = start
            symbols[place + 1] = stop - start if is_text(memory, start, stop) else -1
            place += 2


def survey(
    body: Body,
    version: int,
    seed: Any,
    symbols_: Numbers,
    labels_: Numbers,
    found_: Numbers,
    series_: Numbers,
    metrics_: Numbers,
    resources_: Numbers,
    slots_: Numbers,
    facts_: Numbers,
) -> int:
    """0; or why it ends early, `MALFORMED` or `TOO_LARGE`, and then `facts[POSITION]` says where. The room
    in `labels` and the limit in `facts` say what is too large.

    There is room for as much as `count` has found: `SERIES` numbers for each series, `GROUP` for each metric
    and resource, two for each symbol, and twice a power of two, more than twice the series, for `slots`.
    """
    memory = address_of(body)
    symbols = address_of(symbols_)
    labels = address_of(labels_)
    found = address_of(found_)
    series = address_of(series_)
    metrics = address_of(metrics_)
    resources = address_of(resources_)
    slots = address_of(slots_)
    facts = address_of(facts_)
    mask = len(slots_) // 2 - 1
    symbol_count = len(symbols_) // 2
    end = len(body)
    if version == 2:
        _find_symbols(memory, end, symbols)
    at = one = 0
    while at < end:
        number, wire, start, stop, at = read_field(memory, at, end)
        if wire != 2:
            continue
        if version == 1 and number == 3:
            if not _is_metadata(memory, start, stop):
                facts[POSITION] = start
                return MALFORMED
            facts[BOUND] += stop - start + 192
        if number != (1 if version == 1 else 5):
            continue
        mine = one * SERIES
        for place in range(mine, mine + SERIES):
            series[place] = 0
        series[mine + AT], series[mine + END] = start, stop
        fault = _survey_one(memory, version, symbols, symbol_count, labels, found, series, mine, facts)
        if fault in (-MALFORMED, -TOO_LARGE):
            facts[POSITION] = start
            return TOO_LARGE if fault == -TOO_LARGE else MALFORMED
        if fault < 0:
            if facts[FIRST_LOST - fault] < 0:
                facts[FIRST_LOST - fault] = one
        else:
            group(memory, series, one, seed, resources, metrics, slots, mask, facts)
        one += 1
    return 0


@cache
def load() -> tuple[Count, Survey]:
    """The compiled functions: read from the cache on disk, or compiled, which takes some seconds."""
    return compiled(_COUNT_SIGNATURE, count), compiled(_SURVEY_SIGNATURE, survey)
