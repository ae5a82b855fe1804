"""Head sampling: the threshold as the specification writes it, and weights that estimate what really came."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.demo.arrivals import MINUTE_NS, Arrivals
from lowtide.demo.draw import stream
from lowtide.demo.spanshape import threshold_text


@pytest.mark.parametrize(
    ("one_in", "text"),
    [(1, "0"), (2, "8"), (4, "c"), (8, "e"), (16, "f"), (32, "f8"), (64, "fc"), (128, "fe"), (256, "ff")],
)
def test_threshold_is_written_without_trailing_zeros(one_in: int, text: str) -> None:
    assert threshold_text(one_in) == text
    threshold = int(text.ljust(14, "0"), 16)
    assert (1 << 56) / ((1 << 56) - threshold) == one_in


@given(
    seed=st.integers(0, 10**6),
    one_in=st.sampled_from([1, 4, 16, 128]),
    per_minute=st.integers(0, 200),
    exact=st.booleans(),
)
def test_weights_estimate_the_true_count(seed: int, one_in: int, per_minute: int, exact: bool) -> None:
    rng = stream(seed, "test")
    counts = rng.poisson(per_minute, 600).astype(np.int64)
    times = np.sort(rng.integers(0, 600 * MINUTE_NS, counts.sum())) if exact else None
    kept, came = Arrivals(0, counts.astype(float), counts, times).between(0, 600 * MINUTE_NS, one_in, rng)
    assert came == counts.sum()
    deviation = math.sqrt(came * (one_in - 1)) or 0.0
    assert abs(len(kept) * one_in - came) <= 6 * deviation
    assert np.all(np.diff(kept) >= 0)
    assert not len(kept) or (kept[0] >= 0 and kept[-1] < 600 * MINUTE_NS)


@given(cut=st.integers(1, 599), seed=st.integers(0, 1000))
def test_stretches_of_time_add_up(cut: int, seed: int) -> None:
    rng = stream(seed, "cut")
    counts = rng.poisson(3, 600).astype(np.int64)
    arrivals = Arrivals(0, counts.astype(float), counts, None)
    parts = [arrivals.between(a * MINUTE_NS, b * MINUTE_NS, 1, rng)[1] for a, b in ((0, cut), (cut, 600))]
    assert sum(parts) == counts.sum()


def test_a_showing_keeps_the_right_share_of_every_entry_point(showing) -> None:  # type: ignore[no-untyped-def]
    """Roots of the sampled part, weighted, against the requests that came."""
    whole_from = showing.stage.settings.now_ns - int(0.125 * 86_400e9)
    weighted = 0.0
    squared = 0.0
    for seen in showing.spans:
        if (
            seen.attributes.get("http.route") == "/v1/presence"
            and seen.span.start_time_unix_nano < whole_from
        ):
            weighted += 32
            squared += 32 * 31
    from lowtide.demo.stage import population

    arrivals = population(showing.stage, showing.stage.calendar)["presence"]
    minutes = (whole_from - showing.stage.settings.start_ns) // MINUTE_NS
    came = int(arrivals.counts[:minutes].sum())
    assert abs(weighted - came) <= 5 * math.sqrt(squared)
