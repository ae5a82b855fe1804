"""A recorded cluster, scraped by Debian's Prometheus and written into a running server, has a cost."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from support.kubernetes import recorded
from support.launcher import Launcher, Running
from support.prometheus import TEXT, prometheus, scraped

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

CONFIGURATION = """\
global:
  scrape_interval: 1s
  external_labels: {{cluster: recorded}}
scrape_configs:
  - job_name: kube-state-metrics
    honor_labels: true
    static_configs: [{{targets: ['{state}']}}]
  - job_name: cadvisor
    honor_timestamps: false
    static_configs: [{{targets: ['{cadvisor}'], labels: {{node: datagen-1-35}}}}]
remote_write:
  - url: {url}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms}}
"""
USED = "SELECT count() AS n FROM usage_1m WHERE container = 'coredns' AND cpu_time_s_total > 0"
ASKED = "SELECT count() AS n FROM kubernetes_facts WHERE fact = 'kube_horizontalpodautoscaler_info'"


def wait_for_both(server: Running) -> None:
    """Return once something of both targets is stored; the first request is translated late."""
    deadline = time.monotonic() + 120
    while not all(int(server.rows(query)[0]["n"]) for query in (USED, ASKED)):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_cluster_has_a_cost(launch: Launcher, tmp_path: Path) -> None:
    state, cadvisor = recorded("1_35", "ksm_metrics"), recorded("1_35", "kubelet_metrics_cadvisor")
    server = launch.serve()
    url = server.wait_ready()["otlp_http"]
    with scraped(state, TEXT) as first, scraped(cadvisor, TEXT) as second:
        configuration = CONFIGURATION.format(state=first.address, cadvisor=second.address, url=url)
        with prometheus(tmp_path / "prometheus", configuration):
            wait_for_both(server)

    asked = launch("cost", "--by", "workload", "--window", "24h", "--output", "json", data=server.data)
    assert asked.process.wait(120) == 0, asked.told()
    rows = {row["name"]: Decimal(row["total"]) for row in json.loads(asked.out.read_text())}
    assert rows.keys() >= {
        "recorded/kube-system/coredns", "recorded/scraper/e2e-deployment", "recorded/scraper/e2e-statefulset",
        "idle", "total",
    }  # fmt: skip
    assert rows["total"] == sum(amount for name, amount in rows.items() if name != "total") > 0
    (node,) = server.rows("SELECT node, cluster, cpu_capacity_cores AS cores FROM kubernetes_nodes")
    assert node == {"node": "datagen-1-35", "cluster": "recorded", "cores": 14}
