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
