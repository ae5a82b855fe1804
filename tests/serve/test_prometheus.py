"""Debian's Prometheus scrapes and writes into a running server: what is stored is what Prometheus has
itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.launcher import Launcher, Running
from support.prometheus import Prometheus, prometheus, scraped

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PAGE = f"""\
# HELP requests Requests of a shop.
# TYPE requests counter
requests_total{{code="200",zone="ä"}} 1e100 # {{trace_id="{TRACE_ID}",shop="x"}} 0.5
requests_total{{code="500",zone="ä"}} 3
# TYPE temperature gauge
# HELP temperature How warm it is.
temperature -0.1
# TYPE odd gauge
odd{{is="nan"}} NaN
odd{{is="inf"}} +Inf
odd{{is="small"}} 4.9406564584124654e-324
# TYPE seconds histogram
seconds_bucket{{le="0.1"}} 2
seconds_bucket{{le="+Inf"}} 5
seconds_count 5
seconds_sum 1.25
# EOF
"""
CONFIGURATION = """\
global:
  scrape_interval: 1s
  external_labels: {{site: one}}
scrape_configs:
  - job_name: shop/front
    static_configs: [{{targets: ['{target}']}}]
remote_write:
  - url: {url}/api/v1/write
    send_exemplars: true
    metadata_config: {{send_interval: 1s}}
    queue_config: {{batch_send_deadline: 200ms}}
"""
SAMPLES = """\
SELECT
    MetricName,
    simpleJSONExtractString(ResourceJson, 'service.namespace') AS namespace,
    ServiceName,
    simpleJSONExtractString(ResourceJson, 'service.instance.id') AS instance,
    Attributes,
    toUnixTimestamp64Milli(TimeUnix) AS time_ms,
    toString(Value) AS value,
    hex(reinterpretAsUInt64(Value)) AS bits,
    Flags AS flags
FROM metric_samples AS sample
INNER JOIN (SELECT * FROM metric_series LIMIT 1 BY fingerprint) AS series USING (tenant, fingerprint)
"""


def until(condition: Callable[[], Any], within_s: float = 120) -> Any:
    """What it says, once that is something."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def stored(server: Running, where: str = "bitAnd(Flags, 2147483648) = 0") -> list[dict[str, Any]]:
    return server.rows(f"{SAMPLES} WHERE {where}")


def by_series(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[int, str]]:
    """As `Prometheus.samples`: with the labels that Prometheus has."""
    found: dict[tuple[Any, ...], dict[int, str]] = {}
    for row in rows:
        labels = {**row["Attributes"], "__name__": row["MetricName"], "instance": row["instance"]}
        labels["job"] = f"{row['namespace']}/{row['ServiceName']}"
        assert labels.pop("site") == "one"  # which Prometheus adds to what it sends
        samples = found.setdefault(tuple(sorted(labels.items())), {})
        assert int(row["time_ms"]) not in samples, "stored twice"
        samples[int(row["time_ms"])] = row["value"]
    return found


def same(ours: dict[int, str], theirs: dict[int, str]) -> bool:
    """Whether these are the same values at the same times."""
    return ours.keys() == theirs.keys() and all(
        float(ours[at]) == float(theirs[at])
        or (math.isnan(float(ours[at])) and math.isnan(float(theirs[at])))
        for at in ours
    )


def compare(server: Running, source: Prometheus) -> None:
    """All it has of the target is stored, with the same values and times, and nothing else."""
    now_s = time.time()
    theirs = source.samples('{job="shop/front"}', now_s)
    assert {dict(labels)["__name__"] for labels in theirs} >= {
        "up", "requests_total", "temperature", "odd", "seconds_bucket", "seconds_sum",
    }  # fmt: skip

    def ours() -> dict[tuple[Any, ...], dict[int, str]] | None:
        # Prometheus does not show the samples that only say that a series has ended.
        rows = stored(server, f"Flags = 0 AND TimeUnix <= toDateTime64({now_s}, 3)")
        found = by_series(rows)
        return found if sum(map(len, found.values())) >= sum(map(len, theirs.values())) else None

    mine = until(ours)
    assert mine.keys() == theirs.keys()
    assert [labels for labels in mine if not same(mine[labels], theirs[labels])] == []


def test_what_prometheus_has_is_stored(launch: Launcher, tmp_path: Path) -> None:
    server = launch.serve()
    url = server.wait_ready()["otlp_http"]
    with scraped(PAGE) as target:
        configuration = CONFIGURATION.format(target=target.address, url=url)
        with prometheus(tmp_path / "prometheus", configuration, "exemplar-storage") as source:
            until(lambda: len({row["time_ms"] for row in stored(server, "MetricName = 'temperature'")}) >= 3)
            compare(server, source)

            # The target is gone: each of its series ends with a marker, bit by bit as Prometheus writes it.
            target.page = None
            ended = "MetricName = 'requests_total' AND Flags = 1"
            markers = until(lambda: len(found := stored(server, ended)) >= 2 and found)
            assert {row["bits"] for row in markers} == {"7FF0000000000002"}
            target.page = PAGE
            newest = max(int(row["time_ms"]) for row in markers)
            until(
                lambda: any(int(r["time_ms"]) > newest for r in stored(server, "MetricName = 'temperature'"))
            )
            compare(server, source)

            exemplars = until(lambda: server.rows(
                "SELECT Exemplars.TraceId AS ids, Exemplars.FilteredAttributes AS labels, Exemplars.Value AS "
                "values, Flags FROM metric_samples WHERE MetricName = 'requests_total' AND notEmpty(ids)"
            ))  # fmt: skip
            assert exemplars[0]["ids"] == [TRACE_ID]
            assert (exemplars[0]["labels"], exemplars[0]["values"]) == ([{"shop": "x"}], [0.5])

            described = until(lambda: server.rows(
                "SELECT MetricDescription AS help, Attributes['prometheus.type'] AS type FROM metric_series "
                "WHERE MetricName = 'temperature' AND type != '' LIMIT 1"
            ))  # fmt: skip
            assert described == [{"help": "How warm it is.", "type": "gauge"}]
            # Neither is a value of anything.
            shown = "SELECT DISTINCT Value FROM otel_metrics_gauge WHERE MetricName = 'temperature'"
            assert server.rows(f"{shown} AND Flags != 1") == [{"Value": -0.1}]
        assert "non-recoverable" not in source.log.read_text()


BETWEEN = """\
WITH sample AS
(
    SELECT MetricName, labels, TimeUnix, Value,
        lagInFrame(Value, 1, Value) OVER (PARTITION BY labels ORDER BY TimeUnix) AS earlier
    FROM prometheus_samples
    WHERE isFinite(Value)
        AND TimeUnix BETWEEN fromUnixTimestamp64Milli(SINCE) AND fromUnixTimestamp64Milli(UNTIL)
),
newest AS
(
    SELECT MetricName, labels, argMax(Value, TimeUnix) AS Value FROM sample GROUP BY MetricName, labels
)
SELECT """
QUERIES = {
    "sum by (code, shop) (count_over_time(orders_total[W]))": (
        "map('code', labels['code'], 'shop', labels['shop']) AS labels,"
        " toFloat64(count()) AS value FROM sample WHERE MetricName = 'orders_total' GROUP BY labels"
    ),
    "sum(sum_over_time(seconds_bucket[W]))": (
        "map() AS labels, sum(Value) AS value FROM sample WHERE MetricName = 'seconds_bucket'"
    ),
    "sum by (code) (last_over_time(orders_total[W]))": (
        "map('code', labels['code']) AS labels, sum(Value) AS value FROM newest"
        " WHERE MetricName = 'orders_total' GROUP BY labels"
    ),
    "sum by (code, shop) (resets(orders_total[W]))": (
        "map('code', labels['code'], 'shop', labels['shop']) AS labels,"
        " toFloat64(countIf(Value < earlier)) AS value FROM sample"
        " WHERE MetricName = 'orders_total' GROUP BY labels"
    ),
    "sum by (code) (changes(orders_total[W]))": (
        "map('code', labels['code']) AS labels, toFloat64(countIf(Value != earlier)) AS value FROM sample"
        " WHERE MetricName = 'orders_total' GROUP BY labels"
    ),
    "max(max_over_time(warmth[W])) - min(min_over_time(warmth[W]))": (
        "map() AS labels, max(Value) - min(Value) AS value FROM sample WHERE MetricName = 'warmth'"
    ),
    "sum(avg_over_time(warmth[W]))": (
        "map() AS labels, avg(Value) AS value FROM sample WHERE MetricName = 'warmth'"
    ),
    "sum(stddev_over_time(warmth[W]))": (
        "map() AS labels, stddevPop(Value) AS value FROM sample WHERE MetricName = 'warmth'"
    ),
    "sum(quantile_over_time(0.9, warmth[W]))": (
        "map() AS labels, quantileExactInclusive(0.9)(Value) AS value FROM sample WHERE MetricName = 'warmth'"
    ),
    "sum by (le) (last_over_time(seconds_bucket[W])) > 0": (
        "map('le', labels['le']) AS labels, sum(Value) AS value FROM newest"
        " WHERE MetricName = 'seconds_bucket' GROUP BY labels HAVING value > 0"
    ),
    "sum(last_over_time(seconds_sum[W])) / sum(last_over_time(seconds_count[W]))": (
        "map() AS labels, sumIf(Value, MetricName = 'seconds_sum')"
        " / sumIf(Value, MetricName = 'seconds_count') AS value FROM newest"
    ),
    "topk(1, sum by (shop) (last_over_time(orders_total[W])))": (
        "map('shop', labels['shop']) AS labels, sum(Value) AS value FROM newest"
        " WHERE MetricName = 'orders_total' GROUP BY labels ORDER BY value DESC LIMIT 1"
    ),
}  # fmt: skip
"""Questions in PromQL about a window W, and the same in SQL."""


def page_of(number: int) -> str:
    """A counter that begins again in between, one that rises, and a gauge."""
    return (
        "# TYPE orders counter\n"
        f'orders_total{{code="200",shop="a"}} {number * 3 % 11}\n'
        f'orders_total{{code="200",shop="b"}} {number * 2}\n'
        f'orders_total{{code="500",shop="a"}} {number // 2}\n'
        "# TYPE warmth gauge\n"
        f"warmth {(number * 7 % 5) - 1.5}\n"
        "# TYPE seconds histogram\n"
        f'seconds_bucket{{le="0.1"}} {number}\nseconds_bucket{{le="+Inf"}} {number * 2}\n'
        f"seconds_count {number * 2}\nseconds_sum {number * 0.25}\n# EOF\n"
    )


def test_the_same_questions_have_the_same_answers(launch: Launcher, tmp_path: Path) -> None:
    """Prometheus' own language on its own store, and SQL on what it has sent."""
    server = launch.serve()
    url = server.wait_ready()["otlp_http"]
    with scraped(page_of(0)) as target:
        configuration = CONFIGURATION.format(target=target.address, url=url)
        with prometheus(tmp_path / "prometheus", configuration) as source:
            for number in range(1, 12):
                time.sleep(1.0)
                target.page = page_of(number)
            until_ms = round(time.time() * 1000) - 1
            since_ms = until_ms - 8_500
            begin = BETWEEN.replace("SINCE", str(since_ms)).replace("UNTIL", str(until_ms))
            later = f"MetricName = 'warmth' AND TimeUnix > fromUnixTimestamp64Milli({until_ms})"
            until(lambda: stored(server, later))
            for promql, sql in QUERIES.items():
                theirs = source.answer(promql.replace("[W]", "[8500ms]"), until_ms / 1000)
                rows = server.rows(begin + sql)
                ours = {tuple(sorted(row["labels"].items())): row["value"] for row in rows}
                assert theirs, promql
                assert ours == pytest.approx(theirs), promql


def test_nothing_is_lost_or_doubled_when_the_server_is_killed(launch: Launcher, tmp_path: Path) -> None:
    """Prometheus sends again what it was not told is taken."""
    server = launch.serve()
    ready = server.wait_ready()
    port = ready["otlp_http"].rpartition(":")[2]
    with scraped(PAGE) as target:
        configuration = CONFIGURATION.format(target=target.address, url=ready["otlp_http"])
        with prometheus(tmp_path / "prometheus", configuration) as source:
            until(lambda: stored(server, "MetricName = 'temperature'"))
            server.kill()
            time.sleep(3)
            again = launch("serve", "--api-port", "0", "--otlp-http-port", port, "--otlp-grpc-port", "0")
            again.wait_ready()
            restarted_ms = time.time_ns() // 10**6
            newer = f"MetricName = 'temperature' AND TimeUnix > fromUnixTimestamp64Milli({restarted_ms})"
            until(lambda: stored(again, newer))
            compare(again, source)
