"""Which series of a remote write request share a job and an instance, and so a resource, and of those which
share a name and a kind, and so a metric: compiled code, a part of `collector.remote_write.survey`.

The trap: names are the sender's choice, so they are hashed with a seed of the request's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collector.remote_write.layout import (
    FIRST,
    GROUP,
    INSTANCE_AT,
    INSTANCE_SIZE,
    JOB_AT,
    JOB_SIZE,
    KIND,
    LAST,
    METRICS,
    NAME_AT,
    NAME_SIZE,
    OLDER,
    OLDER_METRIC,
    RESOURCE,
    RESOURCES,
    SERIES,
)
from collector.remote_write.wire import Int, Memory, hashed, mixed, order_of
from ingest.compiled import routine


@routine
def group(
    memory: Memory, series: Memory, one: Int, seed: Any, resources: Memory, metrics: Memory, slots: Memory,
    mask: Int, facts: Memory,
) -> None:  # fmt: skip
    """Put a series to its metric, and a new metric to its resource. `slots` are two tables of open
    addressing, at most half full: of numbers of resources and of metrics, plus one."""
    mine = one * SERIES
    state = hashed(seed, memory, series[mine + JOB_AT], series[mine + JOB_SIZE], seed)
    state = hashed(state, memory, series[mine + INSTANCE_AT], series[mine + INSTANCE_SIZE], seed)
    slot = np.int64(state >> np.uint64(20)) & mask
    while slots[slot]:
        first = SERIES * resources[GROUP * (slots[slot] - 1) + FIRST]
        if (
            series[first + JOB_SIZE] == series[mine + JOB_SIZE]
            and series[first + INSTANCE_SIZE] == series[mine + INSTANCE_SIZE]
            and order_of(memory, series[first + JOB_AT], series[first + JOB_SIZE],
                       series[mine + JOB_AT], series[mine + JOB_SIZE]) == 0
            and order_of(memory, series[first + INSTANCE_AT], series[first + INSTANCE_SIZE],
                       series[mine + INSTANCE_AT], series[mine + INSTANCE_SIZE]) == 0
        ):  # fmt: skip
            break
        slot = (slot + 1) & mask
    if slots[slot] == 0:
        new = facts[RESOURCES]
        facts[RESOURCES] = slots[slot] = new + 1
        resources[GROUP * new + FIRST], resources[GROUP * new + LAST] = one, -1
    resource = slots[slot] - 1
    kind = series[mine + KIND]
    state = mixed(state, np.uint64(kind), seed)
    state = hashed(state, memory, series[mine + NAME_AT], series[mine + NAME_SIZE], seed)
    slot = mask + 1 + (np.int64(state >> np.uint64(20)) & mask)
    while slots[slot]:
        metric = GROUP * (slots[slot] - 1)
        first = SERIES * metrics[metric + FIRST]
        if (
            series[first + KIND] == kind
            and series[first + RESOURCE] == resource
            and series[first + NAME_SIZE] == series[mine + NAME_SIZE]
            and order_of(memory, series[first + NAME_AT], series[first + NAME_SIZE],
                       series[mine + NAME_AT], series[mine + NAME_SIZE]) == 0
        ):  # fmt: skip
            break
        slot = slot + 1 if slot < 2 * mask + 1 else mask + 1
    if slots[slot] == 0:
        new = facts[METRICS]
        facts[METRICS] = slots[slot] = new + 1
        metrics[GROUP * new + FIRST], metrics[GROUP * new + LAST] = one, -1
        metrics[GROUP * new + OLDER_METRIC] = resources[GROUP * resource + LAST]
        resources[GROUP * resource + LAST] = new
    metric = GROUP * (slots[slot] - 1)
    series[mine + RESOURCE] = resource
    series[mine + OLDER] = metrics[metric + LAST]
    metrics[metric + LAST] = one
