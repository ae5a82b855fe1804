"""A remote write request of Prometheus as an OTLP metrics request, once, at the edge. `collector.handling`
calls `translate` before the check, which then sees what it would see from an OpenTelemetry SDK.

Series of one job and instance become one resource (`service.name`, `service.instance.id`), those of one name
a metric, all other labels attributes. Version 2 says what a metric is with each series; version 1 does not,
so its samples are gauges, and what it says in between comes as a point of its own, flagged as no sample
(`points.NO_SAMPLE`); so do exemplars, which Prometheus sends without their sample. What is refused is refused
by the series.

The trap is size: a label is sent once for all samples of a series, and in version 2 once for all series. What
the translation may take is added up first, and counted as held before memory is taken for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import numpy as np

from collector.check.wording import quoted
from collector.door import Form
from collector.errors import BadRequestError
from collector.foreign.translated import Translated
from collector.refusals import TooLargeError
from collector.remote_write import histograms, layout, survey, wire, write
from collector.replies import Written

MAX_SERIES: Final = 250_000
"""Of a request; Prometheus sends 2,000 samples in one unless told otherwise."""
MAX_SYMBOLS: Final = 1_000_000
_NS_PER_MS: Final = 1_000_000
_VERSIONS: Final = {Form.WRITE_1: 1, Form.WRITE_2: 2}
_NO_LIMIT: Final = 1 << 62
_TEXTS: Final = np.frombuffer(write.TEXTS, np.uint8)
_RULES: Final = {
    wire.NO_NAME: "of series without the label __name__",
    wire.EMPTY_LABEL_NAME: "of series with a label without a name",
    wire.REPEATED_LABEL: "of series with a label given twice",
    wire.TOO_MANY_LABELS: f"of series with more than {wire.MAX_LABELS} labels",
    wire.NOT_UTF8: "of series with text that is not UTF-8",
    wire.BAD_REFERENCE: "of series that refer to symbols that are not there, or to an odd number of them",
    wire.MIXED: "of series with samples as well as histograms, or histograms of several kinds",
    wire.NOT_WHOLE: "of series with histograms whose counts are no whole numbers",
    wire.BAD_BUCKETS: "of series with histograms whose numbers contradict each other or are out of range",
    wire.TOO_WIDE: f"of series with histograms of more than {wire.MAX_BUCKETS} buckets",
    wire.EMPTY: "series without samples, histograms and exemplars",
}


def translate(
    form: Form, body: bytes, *, now_ns: int, limit_bytes: int, grow: Callable[[int], None]
) -> Translated:
    """Translate an uncompressed request of either version. `grow` is told how much memory is taken, before.

    Raises BadRequestError for what is no such request, TooLargeError for more series than `MAX_SERIES` or a
    translation of more than `limit_bytes`.
    """
    version = _VERSIONS[form]
    count, look_over = survey.load()
    data = np.frombuffer(body, np.uint8)
    series_count, symbol_count, metadata_count = count(data, version)
    if series_count < 0:
        raise _damaged(-1 - series_count)
    _refuse_size(series_count, symbol_count)
    if not series_count + metadata_count:
        if body and not symbol_count:
            raise BadRequestError(_WRONG_MESSAGE.format(form))
        return Translated(b"")
    slots = 1 << max(4, (2 * series_count).bit_length())
    sizes = (2 * symbol_count, layout.SERIES * series_count, 2 * layout.GROUP * series_count, 2 * slots)
    grow(8 * sum(sizes))
    symbols = np.zeros(2 * symbol_count, np.int64)
    labels, own_labels = (np.empty(wire.LABELS, np.int64) for _ in range(2))
    found = np.empty(histograms.HISTOGRAM, np.int64)
    series = np.empty(layout.SERIES * series_count, np.int64)
    metrics, resources = (np.empty(layout.GROUP * series_count, np.int64) for _ in range(2))
    facts = np.zeros(layout.FACTS, np.int64)
    facts[layout.FIRST_LOST :] = -1
    facts[layout.LIMIT] = labels[wire.ROOM] = limit_bytes
    fault = look_over(
        data, version, secrets.randbits(64), symbols, labels, found, series, metrics, resources,
        np.zeros(2 * slots, np.int64), facts,
    )  # fmt: skip
    bound = int(facts[layout.BOUND])
    if fault == wire.TOO_LARGE or (not fault and bound > limit_bytes):
        raise TooLargeError(
            f"the request would take more than {limit_bytes} bytes with the labels of each sample written"
            " out; send fewer samples, or less metadata, in a request"
        )
    if fault:
        raise _damaged(int(facts[layout.POSITION]))
    if symbol_count and symbols[1] != 0:
        raise BadRequestError("the first symbol of a request must be empty: it stands for what is not said")
    grow(bound)
    out = np.empty(bound, np.uint8)
    labels[wire.ROOM] = own_labels[wire.ROOM] = _NO_LIMIT  # they have been read once
    begin = write.load()(
        data, version, now_ns // _NS_PER_MS, _TEXTS, symbols, labels, own_labels, found, series, metrics,
        resources, int(facts[layout.RESOURCES]), out,
    )  # fmt: skip
    written = Written(*(int(facts[place]) for place in (layout.SAMPLES, layout.HISTOGRAMS, layout.EXEMPLARS)))
    lost = {fault: int(facts[layout.LOST + fault]) for fault in _RULES if facts[layout.LOST + fault]}
    return Translated(
        out[begin:].tobytes(), written, sum(lost.values()), _reason(body, lost, series, facts, written)
    )


def warm_up() -> None:
    """Load the compiled code, or compile it (some seconds), so that no request has to wait for it."""
    survey.load()
    write.load()


_WRONG_MESSAGE: Final = (
    "there are no series in this request; is it another message than {}? The content type names it:"
    " application/x-protobuf;proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"
)


def _damaged(position: int) -> BadRequestError:
    return BadRequestError(f"not a remote write request: truncated or damaged, at byte {position}")


def _refuse_size(series_count: int, symbol_count: int) -> None:
    for number, most, what in (
        (series_count, MAX_SERIES, "series"),
        (symbol_count, MAX_SYMBOLS, "symbols"),
    ):
        if number > most:
            raise TooLargeError(f"the request has {number} {what}, {most} are allowed; send fewer in one")


def _reason(
    body: bytes, lost: dict[int, int], series: wire.Numbers, facts: wire.Numbers, written: Written
) -> str:
    """`3 of 512 samples refused: 2 of ... (first: ...), 1 of ...`; empty when none was."""
    if not lost:
        return ""
    refused = sum(lost.values())
    total = refused + written.samples + written.histograms + written.exemplars
    rules = ", ".join(
        f"{number} {_RULES[fault]} (first: {_named(body, series, int(facts[layout.FIRST_LOST + fault]))})"
        for fault, number in lost.items()
    )
    return f"{refused} of {total} samples, histograms and exemplars refused: {rules}"


def _named(body: bytes, series: wire.Numbers, number: int) -> str:
    """A series by its place and what is known of its name."""
    at, size = layout.name_of(series, number)
    name = quoted(body[at : at + size].decode("utf-8", "replace")) if size else "without a name"
    return f"series {number + 1}, {name}"
