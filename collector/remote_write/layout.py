"""What the survey of a remote write request leaves for the writing: arrays of numbers, whose places have
their names here.
"""

from __future__ import annotations

from typing import Final

from collector.remote_write.wire import FAULTS, Numbers

# What a metric becomes.
GAUGE: Final = 0
SUM: Final = 1
EXPONENTIAL: Final = 2
EXPONENTIAL_GAUGE: Final = 3
EXPLICIT: Final = 4
EXPLICIT_GAUGE: Final = 5

# What the survey finds of each series.
AT, END, NAME_AT, NAME_SIZE, JOB_AT, JOB_SIZE, INSTANCE_AT, INSTANCE_SIZE = range(8)
POINTS: Final = 8  # how many samples or histograms; with exemplars alone, 0
KIND: Final = 9
OLDER: Final = 10  # the series before it in its metric, or -1
HELP: Final = 11  # numbers of symbols, version 2
UNIT: Final = 12
RESOURCE: Final = 13  # its number
SERIES: Final = 14  # how many these are

# Of each metric, and of each resource.
FIRST: Final = 0  # a series of it, from which its name or job is
LAST: Final = 1  # the last series of a metric, the last metric of a resource
OLDER_METRIC: Final = 2  # the metric before it in its resource, or -1
GROUP: Final = 3

# What the survey finds of the request.
POSITION: Final = 0  # of the fault, where it is malformed
SAMPLES: Final = 1
HISTOGRAMS: Final = 2
EXEMPLARS: Final = 3
BOUND: Final = 4  # bytes, about; no less than what is written
METRICS: Final = 5
RESOURCES: Final = 6
OF_ONE: Final = 7  # samples, histograms, exemplars and bytes of the series that is looked at
LIMIT: Final = 11  # what is the most for `BOUND`; given
LOST: Final = 12  # samples, histograms and exemplars, by fault
FIRST_LOST: Final = LOST + FAULTS  # the series that was the first, by fault
FACTS: Final = FIRST_LOST + FAULTS


def name_of(series: Numbers, number: int) -> tuple[int, int]:
    """Where the name of a series begins and how long it is; 0 if it has none or its labels cannot be read."""
    mine = SERIES * number
    return int(series[mine + NAME_AT]), int(series[mine + NAME_SIZE])
