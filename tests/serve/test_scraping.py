"""A running server scrapes Debian's node exporter and Prometheus: it has what Prometheus has of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.certs import Pki
from support.launcher import Launcher, Running
from support.prometheus import (
    PASSWORD,
    USER,
    Prometheus,
    free_port,
    node_exporter,
    prometheus,
    scraped,
)

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

CONFIGURATION = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ['{node}'], labels: {{site: one}}}}]
  - job_name: prometheus
    static_configs: [{{targets: ['127.0.0.1:{port}']}}]
"""
SETTINGS = """\
[[scrape.jobs]]
name = "node"
targets = ["{node}"]
labels = {{site = "one"}}
interval_s = 1
timeout_s = 1

[[scrape.jobs]]
name = "prometheus"
targets = ["{prometheus}"]
interval_s = 1
timeout_s = 1
"""
NEWEST = """\
SELECT MetricName AS name, labels, argMax(Value, TimeUnix) AS value,
    hex(reinterpretAsUInt64(value)) AS bits, max(TimeUnix) AS newest, count() AS samples
FROM prometheus_samples
WHERE labels['job'] = '{job}'
GROUP BY MetricName, labels
"""
TYPES = """\
SELECT DISTINCT MetricName AS name, kind, IsMonotonic AS monotonic
FROM metric_series
WHERE MetricName IN (
    'node_cpu_seconds_total', 'node_memory_MemTotal_bytes', 'prometheus_http_request_duration_seconds_bucket')
ORDER BY name
"""
STALE = "7FF0000000000002"
NOT_OURS = "scrape_samples_post_metric_relabeling"  # nothing is relabelled
CONSTANT = (
    "node_uname_info", "node_memory_MemTotal_bytes", "node_boot_time_seconds", "go_info",
    "process_start_time_seconds", "process_max_fds", "prometheus_build_info", "up",
)  # fmt: skip

Labels = tuple[tuple[str, str], ...]


def until(condition: Callable[[], Any], within_s: float = 120) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def ours(server: Running, job: str) -> dict[Labels, Any]:
    """The newest value of each series that has not ended, by labels."""
    rows = server.rows(NEWEST.format(job=job))
    return {
        tuple(sorted({**row["labels"], "__name__": row["name"]}.items())): row["value"]
        for row in rows
        if row["bits"] != STALE
    }


def theirs(source: Prometheus, job: str) -> dict[Labels, Any]:
    answer = source.http.get(f"{source.url}/api/v1/query", params={"query": f'{{job="{job}"}}'}).json()
    return {
        tuple(sorted(series["metric"].items())): float(series["value"][1])
        for series in answer["data"]["result"]
        if series["metric"]["__name__"] != NOT_OURS
    }


def serve(launch: Launcher, tmp_path: Path, text: str) -> Running:
    file = tmp_path / "scrape.toml"
    file.write_text(text)
    return launch.serve("--config", str(file))


def test_it_has_what_prometheus_has(launch: Launcher, tmp_path: Path) -> None:
    collectors = ("cpu", "meminfo", "loadavg", "uname", "stat", "filefd", "time", "vmstat")
    port = free_port()
    with (
        node_exporter(tmp_path / "node", *collectors) as node,
        prometheus(tmp_path / "prometheus", CONFIGURATION.format(node=node, port=port), port=port) as source,
    ):
        server = serve(launch, tmp_path, SETTINGS.format(node=node, prometheus=f"127.0.0.1:{port}"))
        for job, least in (("node", 100), ("prometheus", 300)):
            # Prometheus counts what it is asked in series of their own, so both grow for a while.
            until(lambda job=job: ours(server, job).keys() == theirs(source, job).keys() != set())
            mine, other = ours(server, job), theirs(source, job)
            assert len(mine) > least
            constant = [labels for labels in mine if dict(labels)["__name__"] in CONSTANT]
            assert len(constant) >= 5
            # The target may not have been up the first time; from now on it is.
            assert {labels: float(mine[labels]) for labels in constant} == {
                labels: other[labels] for labels in constant
            }
        assert server.rows(TYPES) == [
            {"name": "node_cpu_seconds_total", "kind": "sum", "monotonic": True},
            {"name": "node_memory_MemTotal_bytes", "kind": "gauge", "monotonic": False},
            {"name": "prometheus_http_request_duration_seconds_bucket", "kind": "sum", "monotonic": True},
        ]


def test_a_target_with_tls_certificates_and_a_password(launch: Launcher, tmp_path: Path, pki: Pki) -> None:
    (tmp_path / "right").write_text(PASSWORD + "\n")
    (tmp_path / "wrong").write_text("something else\n")
    known = {
        "ca_file": str(pki.servers.certificate),
        "certificate_file": str(pki.shop.certificate),
        "key_file": str(pki.shop.key),
        "username": USER,
        "password_file": str(tmp_path / "right"),
    }
    jobs = {
        "known": known,
        "strange": known | {"ca_file": str(pki.strangers.certificate)},
        "unnamed": {key: known[key] for key in ("ca_file", "username", "password_file")},
        "other": known | {"server_name": "other.internal"},
        "guessed": known | {"password_file": str(tmp_path / "wrong")},
    }
    with node_exporter(tmp_path / "node", "uname", pki=pki) as node:
        common = f'targets = ["{node}"]\nscheme = "https"\ninterval_s = 0.5\ntimeout_s = 0.5\n'
        server = serve(launch, tmp_path, "".join(
            f'[[scrape.jobs]]\nname = "{name}"\n{common}' + "".join(f'{k} = "{v}"\n' for k, v in job.items())
            for name, job in jobs.items()
        ))  # fmt: skip

        def up(job: str) -> list[float]:
            return [value for labels, value in ours(server, job).items() if ("__name__", "up") in labels]

        until(lambda: {job: up(job) for job in jobs} == {job: [float(job == "known")] for job in jobs})
        named = [dict(labels)["__name__"] for labels in ours(server, "known")]
        assert "node_uname_info" in named

        page = page_of(server)
        for job, reason in (
            ("strange", "connect"), ("unnamed", "connect"), ("other", "connect"), ("guessed", "status"),
        ):  # fmt: skip
            assert f'lowtide_scrape_failures_total{{job="{job}",reason="{reason}"}}' in page
        told = server.told()
        assert "401" in told
        assert PASSWORD not in told


def newest(server: Running) -> str:
    """When the second target was scraped last."""
    sql = "SELECT max(TimeUnix) AS newest FROM prometheus_samples WHERE MetricName = 'a' AND Value = 2"
    return str(server.rows(sql)[0]["newest"])


def page_of(server: Running) -> str:
    return str(server.http.get(server.url("/metrics")).text)


def test_targets_of_files_come_and_go(launch: Launcher, tmp_path: Path) -> None:
    files = tmp_path / "targets"
    files.mkdir()
    with scraped("a 1\n# EOF\n") as first, scraped("a 2\n# EOF\n") as second:
        (files / "1.json").write_text(json.dumps([{"targets": [first.address]}]))
        server = serve(
            launch, tmp_path,
            f'[scrape]\nfile_sd_look_s = 0.2\n[[scrape.jobs]]\nname = "f"\nfile_sd = ["{files}/*.json"]\n'
            "interval_s = 0.5\ntimeout_s = 0.5\n",
        )  # fmt: skip

        def values() -> dict[str, float]:
            found = ours(server, "f").items()
            return {dict(labels)["instance"]: value for labels, value in found if ("__name__", "a") in labels}

        until(lambda: values() == {first.address: 1.0})
        (files / "2.json").write_text(json.dumps([{"targets": [second.address]}]))
        until(lambda: values() == {first.address: 1.0, second.address: 2.0})
        assert 'lowtide_scrape_targets{job="f"} 2.0' in page_of(server)

        # A file that turns wrong keeps its targets; one that is gone has none, and its series end.
        (files / "2.json").write_text("[{")
        until(lambda: 'lowtide_scrape_file_sd_failures_total{job="f"} 1.0' in page_of(server))
        before = newest(server)
        until(lambda: newest(server) > before)
        (files / "1.json").unlink()
        until(lambda: values() == {second.address: 2.0})
        ended = [labels for labels in ours(server, "f") if ("instance", first.address) in labels]
        assert ended == []
        assert "cannot be used" in server.told()


def test_a_wrong_file_of_a_setting_ends_the_start(launch: Launcher, tmp_path: Path) -> None:
    file = tmp_path / "scrape.toml"
    file.write_text('[[scrape.jobs]]\nname = "x"\ntargets = ["a:1"]\nbearer_token_file = "nowhere"\n')
    running = launch(
        "serve", "--config", str(file), "--api-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0"
    )
    assert running.process.wait(60) == 1
    assert "scrape.jobs[0].bearer_token_file: nowhere cannot be read" in running.told()
