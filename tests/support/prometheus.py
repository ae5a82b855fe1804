"""Real peers, Debian's, on free ports of loopback: a Prometheus with a configuration of the test's own, and a
node exporter; beside them a target of our own. They are on the PATH, or unpacked in `.tools` as `make tools`
does it: installed, the packages would start services.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.certs import Pki

TOOLS = Path(__file__).parents[2] / ".tools" / "usr" / "bin"
START_S = 60.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"
USER, PASSWORD = "lowtide", "a secret of a test"
HASH_BY_BCRYPT = "$2b$04$abcdefghijklmnopqrstuuWd/wt5RA1fFe3jRVq9tfTzaOgdrqlCq"
WEB = """\
tls_server_config:
  cert_file: {server.certificate}
  key_file: {server.key}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {senders.certificate}
basic_auth_users: {{{user}: {password}}}
"""
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def tool(name: str) -> str:
    """The path of a Debian tool; the test is skipped where there is none."""
    found = shutil.which(name, path=os.pathsep.join([str(TOOLS), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"needs {name}: `make tools` on Debian")
    return found


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


@dataclass(slots=True)
class Target:
    """Something to scrape; `page` may change, and with None there is nothing."""

    page: str | None
    address: str = ""


@contextlib.contextmanager
def scraped(page: str, content_type: str = OPENMETRICS) -> Iterator[Target]:
    """A target in this process."""
    target = Target(page)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = target.page
            self.send_response(404 if body is None else 200)
            self.send_header("content-type", content_type)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(slots=True)
class Prometheus:
    """One that runs."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=30, trust_env=False))

    def samples(self, selector: str, at_s: float, back: str = "10m") -> dict[tuple[Any, ...], dict[int, str]]:
        """The samples it has itself: by labels, their values by time in ms."""
        return {
            tuple(sorted(series["metric"].items())): {
                round(float(time_s) * 1000): value for time_s, value in series["values"]
            }
            for series in self._asked(f"{selector}[{back}]", at_s)
        }

    def answer(self, query: str, at_s: float) -> dict[tuple[Any, ...], float]:
        """What it answers at a moment, by labels."""
        return {
            tuple(sorted(series["metric"].items())): float(series["value"][1])
            for series in self._asked(query, at_s)
        }

    def _asked(self, query: str, at_s: float) -> list[dict[str, Any]]:
        answer = self.http.get(
            f"{self.url}/api/v1/query", params={"query": query, "time": f"{at_s:.3f}"}
        ).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@contextlib.contextmanager
def prometheus(
    folder: Path, configuration: str, *features: str, port: int | None = None
) -> Iterator[Prometheus]:
    """Start one and wait until it is ready; it is ended after."""
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yml").write_text(configuration)
    port = port or free_port()
    log = folder / "log"
    command = [
        tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}", *(f"--enable-feature={feature}" for feature in features),
    ]  # fmt: skip
    with _started(command, log, f"http://127.0.0.1:{port}/-/ready") as process:
        running = Prometheus(process, f"http://127.0.0.1:{port}", log)
        try:
            yield running
        finally:
            running.http.close()


@contextlib.contextmanager
def node_exporter(folder: Path, *collectors: str, pki: Pki | None = None) -> Iterator[str]:
    """One with these collectors; its address. With `pki` it speaks TLS, wants the certificate of one of its
    senders, and USER with PASSWORD."""
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    command = [
        tool("prometheus-node-exporter"), f"--web.listen-address={address}", "--collector.disable-defaults",
        *(f"--collector.{name}" for name in collectors),
    ]  # fmt: skip
    if pki is None:
        with _started(command, folder / "log", f"http://{address}/"):
            yield address
        return
    (folder / "web.yml").write_text(
        WEB.format(server=pki.server, senders=pki.senders, user=USER, password=HASH_BY_BCRYPT)
    )
    known = {"verify": pki.trust(pki.shop), "auth": (USER, PASSWORD)}
    command.append(f"--web.config.file={folder}/web.yml")
    with _started(command, folder / "log", f"https://{address}/", **known):
        yield address


@contextlib.contextmanager
def _started(command: list[str], log: Path, url: str, **client: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers at its URL, to an HTTP client made so."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_S
        with httpx2.Client(timeout=30, trust_env=False, **client) as http:
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                with contextlib.suppress(httpx2.HTTPError):
                    if http.get(url).status_code == 200:
                        break
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
