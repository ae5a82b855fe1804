"""What proxies add to requests, from their access logs: means and quantiles by workload and direction.

`analytics.mesh` reads and puts together; these are functions from frames to frames. The trap: Envoy writes
whole milliseconds, and its upstream service time ends with the answer's headers, so a slow body counts as
the proxy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import polars as pl

QUANTILES: Final = (0.5, 0.9, 0.99)
SCALE: Final = 16
"""Buckets of a doubling, as in `activity_1s`."""


def overheads(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `proxy_overhead.sql` with `mean_ms, mean_duration_ms, share` and `p50_ms, p90_ms, p99_ms`.

    No quantile is beyond `longest_ms`. `share` is the overhead's part of all duration, None without any. The
    most requests first.
    """
    quantiles = [
        [quantile_ms(buckets, counts, share) for share in QUANTILES]
        for buckets, counts in zip(rows["bucket"], rows["bucket_requests"], strict=True)
    ]
    names = [f"p{round(share * 100)}_ms" for share in QUANTILES]
    figures = pl.DataFrame(quantiles, schema=dict.fromkeys(names, pl.Float64), orient="row")
    whole = pl.col("duration_ms")
    return (
        rows.drop("bucket", "bucket_requests")
        .hstack(figures)
        .with_columns(
            # The bound of a bucket may lie beyond the longest that was measured.
            pl.col(name).clip(upper_bound=pl.col("longest_ms"))
            for name in names
        )
        .with_columns(
            mean_ms=pl.col("overhead_ms") / pl.col("requests"),
            mean_duration_ms=whole / pl.col("requests"),
            share=pl.when(whole > 0).then(pl.col("overhead_ms") / whole),
        )
        .sort(
            "requests", "cluster", "namespace", "workload_name", "direction",
            descending=[True, False, False, False, False],
        )
    )  # fmt: skip


def quantile_ms(buckets: Sequence[int], counts: Sequence[int], share: float) -> float | None:
    """The upper bound of the bucket in which that share of the requests is reached, in milliseconds; None
    without requests. Bucket 0 is nothing.
    """
    wanted = math.ceil(sum(counts) * share)
    reached = 0
    for bucket, count in sorted(zip(buckets, counts, strict=True)):
        reached += count
        if reached >= wanted > 0:
            return 2 ** ((bucket + 1) / SCALE) / 1e6 if bucket else 0.0
    return None
