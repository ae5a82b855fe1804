"""Work and memory of a remote write request have bounds that its size does not give: a few bytes of version 2
name labels of megabytes, as often as they like."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numba import njit

from collector.door import Form
from collector.refusals import TooLargeError
from collector.remote_write import wire
from collector.remote_write.translate import Translated, translate
from ingest.compiled import address_of
from support.remote_write import Request

LIMIT_BYTES = 1 << 20
LONG = "z" * 100_000
SAMPLE = {"value": 1.0, "timestamp": 1_790_000_000_000}


def translated(request: Any) -> Translated:
    return translate(
        Form.WRITE_2,
        request.SerializeToString(),
        now_ns=1_790_000_000_000_000_000,
        limit_bytes=LIMIT_BYTES,
        grow=lambda size: None,
    )


def request(symbols: list[str], *series: dict[str, Any]) -> Any:
    made = Request(symbols=["", "__name__", "up", *symbols])
    for one in series:
        made.timeseries.add(**one)
    return made


@pytest.mark.parametrize("again", [
    {"labels_refs": [1, 2, 3, 3, 3, 3], "samples": [SAMPLE]},       # refused: a label twice
    {"labels_refs": [1, 2, 3, 3, 3], "samples": [SAMPLE]},          # refused: an odd number
    {"labels_refs": [1, 2, 3, 0, 3, 0], "samples": [SAMPLE]},       # no value: no labels at all
    {"labels_refs": [1, 2, 3, 3]},                                  # refused: nothing in it
    {"labels_refs": [1, 2], "exemplars": [{"labels_refs": [3, 3, 3, 3]}]},
    {"labels_refs": [1, 3], "samples": [SAMPLE]},                   # the name of the metric
])  # fmt: skip
def test_labels_that_are_refused_or_left_out_are_read_so_often_only(again: dict[str, Any]) -> None:
    assert len(request([LONG], *[again] * 20).SerializeToString()) < 2 * len(LONG)
    with pytest.raises(TooLargeError, match="more than 1048576 bytes with the labels"):
        translated(request([LONG], *[again] * 20))
    assert translated(request([LONG], again)).written.samples + 1


def test_a_help_that_all_refer_to_is_written_so_often_only() -> None:
    names = [f"m{number}" for number in range(20)]
    series = [
        {"labels_refs": [1, 4 + number], "samples": [SAMPLE], "metadata": {"help_ref": 3}}
        for number in range(20)
    ]
    with pytest.raises(TooLargeError):
        translated(request([LONG, *names], *series))


def test_labels_that_a_request_may_have_are_not_counted_twice() -> None:
    """Nearly as large as it may be."""
    found = translated(request([LONG], *[{"labels_refs": [1, 2, 3, 2], "samples": [SAMPLE] * 3}] * 3))
    assert (found.written.samples, found.refused) == (9, 0)


@njit
def _hash(text: Any, seed: Any) -> Any:
    return wire.hashed(seed, address_of(text), 0, len(text), seed)


def test_names_that_share_a_hash_cannot_be_made_without_the_seed() -> None:
    """Names of which a pair of words differs where a multiplication by what is known carries the difference
    nowhere: the second word takes back what the first did, for one seed in two."""
    rng = random.Random(5)
    blocks = [(b"abcdefg\x01abcdefg\x01", b"abcdefg\x41abc\x24efg\x41") for _ in range(12)]
    names = [b"".join(block[rng.randrange(2)] for block in blocks) for _ in range(2000)]
    texts = [np.frombuffer(name, np.uint8) for name in set(names)]
    for _ in range(4):
        seed = np.uint64(rng.getrandbits(64))
        assert len({int(_hash(text, seed)) for text in texts}) == len(texts)
