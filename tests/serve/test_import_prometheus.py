"""`lowtide import prometheus` from Debian's Prometheus with a history that promtool has made: afterwards
Lowtide has what that Prometheus answers, and each sample once, whoever was killed meanwhile."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lowtide.tokens.token import Scope
from support import tokens
from support.launcher import Launcher, Running
from support.prometheus import Prometheus, free_port, prometheus, tool

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

STEP_S = 60
HOURS = 30
CONFIGURATION = "global: {scrape_interval: 1h}\n"
SAMPLES = """\
SELECT MetricName AS name, Attributes AS attributes, ServiceName AS job,
    simpleJSONExtractString(ResourceJson, 'service.instance.id') AS instance, kind,
    toUnixTimestamp64Milli(TimeUnix) AS time_ms, toString(Value) AS value
FROM metric_samples AS sample
INNER JOIN (SELECT * FROM metric_series LIMIT 1 BY fingerprint) AS series USING (tenant, fingerprint)
"""
Series = dict[tuple[tuple[str, str], ...], dict[int, str]]


def until(condition: Callable[[], Any], within_s: float = 120) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def history(folder: Path) -> None:
    """A database with samples of the last hours: some of metrics that cost needs, some of others."""
    now_s = int(time.time())
    times = range(now_s - HOURS * 3600, now_s - 600, STEP_S)
    lines = ["# TYPE container_cpu_usage_seconds counter"]
    for pod in ("a", "b"):
        labels = f'{{job="kubelet",instance="n:1",namespace="shop",pod="{pod}",container="c"}}'
        lines += [
            f"container_cpu_usage_seconds_total{labels} {number / 8} {at}" for number, at in enumerate(times)
        ]
    lines.append("# TYPE kube_node_info gauge")
    lines += [f'kube_node_info{{job="ksm",instance="k:1",node="n"}} 1 {at}.123' for at in times]
    lines.append("# TYPE shop_orders gauge")
    for shop in "xy":
        lines += [f'shop_orders{{job="shop",instance="s:1",shop="{shop}"}} {at % 7} {at}' for at in times]
    text = folder / "history.txt"
    folder.mkdir(exist_ok=True)
    text.write_text("\n".join([*lines, "# EOF\n"]))
    subprocess.run(
        [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


def stored(server: Running, headers: Mapping[str, str] | None = None) -> Series:
    """All samples there are, as they lie there: one that was stored twice is an error."""
    server.wait_stored()
    found: Series = {}
    for row in server.rows(SAMPLES, headers):
        labels = {
            **row["attributes"],
            "__name__": row["name"],
            "job": row["job"],
            "instance": row["instance"],
        }
        samples = found.setdefault(tuple(sorted(labels.items())), {})
        assert int(row["time_ms"]) not in samples, "stored twice"
        samples[int(row["time_ms"])] = row["value"]
    return found


def same(mine: Series, theirs: Series) -> None:
    assert {labels: len(samples) for labels, samples in mine.items()} == {
        labels: len(samples) for labels, samples in theirs.items()
    }
    for labels, samples in theirs.items():
        assert mine[labels].keys() == samples.keys()
        assert [float(mine[labels][at]) for at in samples] == [float(value) for value in samples.values()]


def needed(source: Prometheus) -> Series:
    """What is imported by default."""
    return source.samples('{__name__=~"container_.*|kube_.*"}', time.time(), "3d")


def start(launch: Launcher, source: str, *options: str) -> Running:
    return launch("import", "prometheus", source, "--since", "2d", *options)


def finished(running: Running, code: int = 0) -> str:
    assert running.process.wait(120) == code, running.told()
    return running.told()


@contextlib.contextmanager
def source_with_history(tmp_path: Path) -> Iterator[Prometheus]:
    history(tmp_path / "prometheus")
    with prometheus(tmp_path / "prometheus", CONFIGURATION) as source:
        yield source


def test_it_has_what_that_prometheus_answers(launch: Launcher, tmp_path: Path) -> None:
    server = launch.serve()
    with source_with_history(tmp_path) as source:
        done = start(launch, source.url)
        told = finished(done)
        assert "Done." in told
        theirs = needed(source)
        assert sum(map(len, theirs.values())) > 3 * 1700
        same(stored(server), theirs)
        assert f"{sum(map(len, theirs.values())):,}" in done.out.read_text().replace(" ", "")

        # Once more: nothing. Of another import, only what was not there.
        finished(start(launch, source.url))
        same(stored(server), theirs)
        other = finished(start(launch, source.url, "--match", '{shop="x"}'))
        assert "Done." in other
        theirs |= source.samples('{shop="x"}', time.time(), "3d")
        assert len(theirs) == 4
        same(stored(server), theirs)
    kinds = server.rows("SELECT DISTINCT MetricName AS name, kind FROM metric_series ORDER BY name, kind")
    assert kinds == [
        {"name": "container_cpu_usage_seconds_total", "kind": "gauge"},
        {"name": "kube_node_info", "kind": "gauge"},
        {"name": "shop_orders", "kind": "gauge"},
    ]


def test_the_prometheus_dies_and_comes_back(launch: Launcher, tmp_path: Path) -> None:
    server = launch.serve()
    folder, port = tmp_path / "prometheus", free_port()
    history(folder)
    state = tmp_path / "state.json"
    options = ("--state", str(state), "--rate", "3", "--give-up-after", "1")
    with prometheus(folder, CONFIGURATION, port=port) as source:
        going = start(launch, source.url, *options)
        until(lambda: state.exists() and json.loads(state.read_text())["totals"]["samples"] > 0)
        source.process.kill()
        source.process.wait(30)
        told = finished(going, 1)
    assert "cannot be reached" in told
    assert "goes on where it stopped" in told
    before = json.loads(state.read_text())
    assert 0 < sum(map(len, stored(server).values())) == before["totals"]["samples"]
    with prometheus(folder, CONFIGURATION, port=port) as source:
        assert "Done." in finished(start(launch, source.url, *options))
        theirs = needed(source)
        same(stored(server), theirs)
    after = json.loads(state.read_text())
    assert after["totals"]["samples"] == sum(map(len, theirs.values())) > before["totals"]["samples"]


def test_the_import_is_killed_again_and_again(launch: Launcher, tmp_path: Path) -> None:
    server = launch.serve()
    state = tmp_path / "state.json"
    options = ("--state", str(state), "--rate", "20")
    with source_with_history(tmp_path) as source:
        for least in (1, 1500, 3000):
            going = start(launch, source.url, *options)
            until(lambda going=going, least=least: (
                going.process.poll() is not None or sum(map(len, stored(server).values())) >= least
            ))  # fmt: skip
            going.kill()
        finished(start(launch, source.url, *options))
        same(stored(server), needed(source))


def test_lowtide_is_killed_and_comes_back(launch: Launcher, tmp_path: Path) -> None:
    server = launch.serve()
    state = tmp_path / "state.json"
    options = ("--state", str(state), "--rate", "3", "--give-up-after", "1")
    with source_with_history(tmp_path) as source:
        going = start(launch, source.url, *options)
        until(lambda: state.exists() and json.loads(state.read_text())["totals"]["samples"] > 0)
        server.kill()
        told = finished(going, 1)
        assert "goes on where it stopped" in told
        again = launch.serve()
        finished(start(launch, source.url, *options))
        same(stored(again), needed(source))


def test_what_was_sent_before_a_kill_is_known_a_day_later(launch: Launcher, tmp_path: Path) -> None:
    """The same piece in other bytes, as when Lowtide has forgotten what it was sent."""
    server = launch.serve()
    state = tmp_path / "state.json"
    with source_with_history(tmp_path) as source:
        going = start(launch, source.url, "--state", str(state), "--rate", "3")
        first = until(lambda: state.exists() and (
            (found := json.loads(state.read_text()))["chunks"] and not found["totals"]["samples"] and found
        ))  # fmt: skip
        finished(going)
        theirs = needed(source)
        same(stored(server), theirs)
        first["described"] = {"kube_node_info": ["gauge", "other words", ""]}
        state.write_text(json.dumps(first))
        finished(start(launch, source.url, "--state", str(state)))
        same(stored(server), theirs)


def test_another_tenant_has_it_once_too(launch: Launcher, tmp_path: Path) -> None:
    """By a token of its own: its own state, and what it has already is asked for as of anybody."""
    server = launch.serve()
    all_of_it = tokens.make(server.data, Scope.WRITE_METRICS, Scope.READ, Scope.QUERY, tenant="shop")
    server.http.headers["Authorization"] = f"Bearer {tokens.make(server.data, Scope.READ, Scope.QUERY)}"
    only_writes = tokens.make(server.data, Scope.WRITE_METRICS, tenant="mute")
    for name, text in (("shop", all_of_it), ("mute", only_writes), ("bad", "lt_bad")):
        (tmp_path / name).write_text(text + "\n")
    state = tmp_path / "state.json"
    with source_with_history(tmp_path) as source:
        finished(start(launch, source.url))
        theirs = needed(source)
        same(stored(server), theirs)
        shop = {"Authorization": f"Bearer {all_of_it}"}
        for _ in range(2):
            finished(start(
                launch, source.url, "--token-file", str(tmp_path / "shop"), "--state", str(state)
            ))  # fmt: skip
            same(stored(server, shop), theirs)
            state.unlink()
        same(stored(server), theirs)
        told = finished(start(launch, source.url, "--token-file", str(tmp_path / "mute")))
        assert "cannot be asked for" in told
        finished(start(launch, source.url, "--token-file", str(tmp_path / "shop"), "--state", str(state)))
        told = finished(start(launch, source.url, "--state", str(state)), 2)
        assert "another import" in told
        assert "no token of this Lowtide" in finished(
            start(launch, source.url, "--token-file", str(tmp_path / "bad")), 1
        )


def test_what_is_wrong_is_said(launch: Launcher, tmp_path: Path) -> None:
    assert "none runs" in finished(start(launch, "http://127.0.0.1:1"), 1)
    launch.serve()
    told = finished(start(launch, "http://127.0.0.1:1", "--give-up-after", "0"), 1)
    assert "http://127.0.0.1:1/api/v1/metadata cannot be reached" in told
    assert "Traceback" not in told
    with prometheus(tmp_path / "prometheus", CONFIGURATION) as source:
        told = finished(start(launch, source.url, "--match", "{", "--give-up-after", "60"), 1)
        assert "refused" in told
        assert "400" in told
        assert "older than" in finished(start(launch, source.url, "--since", "400d", "--rate", "1000"))
    assert "write 30d" in finished(start(launch, "http://127.0.0.1:1", "--since", "yesterday"), 2)
    assert "no password" in finished(start(launch, "http://me:geheim@127.0.0.1:1"), 2)
