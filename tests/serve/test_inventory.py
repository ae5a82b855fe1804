"""Snapshots of clusters and real processes: through a server and without one, and what a kill leaves."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

DATA = Path(__file__).parents[1] / "ingest" / "inventory" / "data"
K3S = DATA / "k3s_lists.json"
QUERY = "SELECT cluster, kind, name FROM kubernetes_inventory ORDER BY ALL"
STORED = [
    {"cluster": "fra", "kind": "Deployment", "name": "coredns"},
    {"cluster": "fra", "kind": "Lease", "name": "apiserver-i5uisahvzd3ngwouonasrg26r4"},
    {"cluster": "fra", "kind": "Node", "name": "c9b7eea91"},
]
SECRET = json.dumps(
    {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"k": "aHVudGVyMg=="}}
)


def run(launch: Any, *arguments: str, code: int = 0) -> tuple[str, str]:
    running = launch("import", "kubernetes", *arguments)
    assert running.process.wait(120) == code, running.told()
    return running.out.read_text(), running.told()


def test_through_a_server_and_after_a_kill(launch: Any, tmp_path: Path) -> None:
    file = tmp_path / "cluster.json.gz"
    file.write_bytes(gzip.compress(K3S.read_bytes() + SECRET.encode()))
    server = launch.serve()

    shown, told = run(launch, str(file), "--cluster", "fra", "--output", "json")

    assert json.loads(shown)["objects"] == 3
    assert "cluster.json.gz: 3 objects of cluster fra" in told
    assert "none in it, or not asked for: StatefulSet, DaemonSet" in told
    assert "* 1 Secret was in it. Nothing of them was stored" in told
    assert server.rows(QUERY) == STORED
    (listed,) = server.get("/api/v1/inventory")["rows"]
    assert (listed["cluster"], listed["file"], listed["objects"]) == ("fra", "cluster.json.gz", 3)
    assert listed["kinds"][0] == {"group": "", "kind": "Node", "objects": 1}
    server.kill()
    again = launch.serve()
    assert again.rows(QUERY) == STORED
    assert "nothing was changed" in run(launch, str(file), "--cluster", "fra")[1]
    found = subprocess.run(["grep", "-rlF", "aHVudGVyMg", str(again.data)], capture_output=True, check=False)
    assert found.stdout == b""
    assert found.returncode == 1


def test_a_broken_one_is_refused_with_its_places(launch: Any, tmp_path: Path) -> None:
    server = launch.serve()
    bad = tmp_path / "bad.json"
    bad.write_text(K3S.read_text().replace('"100m"', '"100 milli"'))

    shown, told = run(launch, str(bad), "--cluster", "fra", code=1)

    assert shown == ""
    assert told.startswith(
        "Error: bad.json:147: items[0]: Deployment kube-system/coredns: spec.template.spec.containers[0]"
        ".resources.requests.cpu: '100 milli' is no quantity. Nothing was imported"
    )
    assert "Traceback" not in told
    assert server.rows("SELECT count() AS n FROM kubernetes_objects") == [{"n": 0}]


def test_without_a_server(launch: Any, tmp_path: Path) -> None:
    """Into a directory that nothing was in; the next server has it."""
    shown, told = run(launch, str(K3S), "--cluster", "fra", "--taken-at", "2026-05-04T10:00:00+02:00")
    assert "Deployment" in shown
    assert "of 2026-05-04 08:00:00 UTC" in told
    assert "nothing was changed" in run(launch, str(K3S), "--cluster", "fra")[1]
    assert "no time such as" in run(launch, str(K3S), "--cluster", "fra", "--taken-at", "noon", code=2)[1]
    assert "--cluster" in run(launch, str(K3S), code=2)[1]
    listing = launch("inventory")
    assert listing.process.wait(120) == 0, listing.told()
    assert "Deployment" in listing.out.read_text()
    assert "Cluster fra: 3 objects from k3s_lists.json, taken 2026-05-04 08:00:00 UTC" in listing.told()
    bad = tmp_path / "bad.yaml"
    bad.write_text("apiVersion: v1\n")
    assert "this is no JSON of kubectl" in run(launch, str(bad), "--cluster", "fra", code=1)[1]

    server = launch.serve()

    assert server.rows(QUERY) == STORED


def test_what_comes_in_is_read(launch: Any) -> None:
    server = launch.serve()
    command = [sys.executable, "-m", "lowtide", "import", "kubernetes", "-", "--cluster", "fra"]

    ended = subprocess.run(
        [*command, "--data", str(server.data)], input=K3S.read_bytes(), env=dict(server.environment),
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert b"stdin: 3 objects of cluster fra" in ended.stderr
    assert server.rows(QUERY) == STORED
