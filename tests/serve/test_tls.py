"""A real server over TLS on all its ports: real SDKs and clients, our own commands, renewal, refusals."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx2
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from support import tokens
from support.certs import SHOP_URI, Pair, Pki
from support.launcher import ANY_PORTS, Launcher, Running

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

SETTINGS = f"""
[tls]
certificate = "tls.crt"
key = "tls.key"
client_ca = "ca.crt"
look_s = 0.2

[[tls.clients]]
san = "{SHOP_URI}"
tenant = "shop"
scopes = ["write", "read", "query"]

[[tls.clients]]
san = "billing.internal"
tenant = "billing"
scopes = ["write-logs"]
"""


@pytest.fixture
def place(launch: Launcher, pki: Pki) -> Path:
    """The working directory of the server, with settings and files in it."""
    put(pki.server, launch.folder)
    shutil.copy(pki.senders.certificate, launch.folder / "ca.crt")
    (launch.folder / "lowtide.toml").write_text(SETTINGS)
    return launch.folder


def put(pair: Pair, folder: Path) -> None:
    shutil.copy(pair.certificate, folder / "tls.crt")
    shutil.copy(pair.key, folder / "tls.key")


def served(launch: Launcher, pki: Pki, *arguments: str, client: Pair | None = None) -> Running:
    server = launch.serve(*arguments)
    server.http.close()
    server.http = httpx2.Client(timeout=60, trust_env=False, verify=pki.trust(client))
    return server


def ran(launch: Launcher, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments, "--data", str(launch.folder / "data")],
        env=launch.environment, cwd=launch.folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.05)


def address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].rpartition(":")
    return host, int(port)


def exported(exporter: SpanExporter, name: str) -> SpanExportResult:
    """Send one span through a real SDK; what the exporter said."""
    said: list[SpanExportResult] = []

    class Watching(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            said.append(exporter.export(spans))
            return said[-1]

        def shutdown(self) -> None:
            exporter.shutdown()

    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(SimpleSpanProcessor(Watching()))
    with provider.get_tracer("test").start_as_current_span(name):
        pass
    provider.shutdown()
    return said[0]


def test_sdks_and_clients_with_certificates(
    launch: Launcher, place: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the documentation says to set them up: by OpenTelemetry's own variables."""
    token = tokens.make(launch.folder / "data", *tokens.ALL, tenant="acme")
    server = served(launch, pki, client=pki.shop)
    ready = server.wait_ready()
    assert all(ready[name].startswith("https://") for name in ("api", "otlp_http", "otlp_grpc"))
    traces = ready["otlp_http"] + "/v1/traces"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(pki.servers.certificate))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # go before it in Python's SDK
        monkeypatch.delenv(name, raising=False)
    bearer = {"authorization": f"Bearer {token}"}

    assert exported(HttpExporter(traces), "nobody") is SpanExportResult.FAILURE
    assert exported(GrpcExporter(ready["otlp_grpc"], timeout=5), "nobody") is SpanExportResult.FAILURE
    assert exported(HttpExporter(traces, headers=bearer), "http-token") is SpanExportResult.SUCCESS
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(pki.shop.certificate))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", str(pki.shop.key))
    assert exported(HttpExporter(traces), "http-certificate") is SpanExportResult.SUCCESS
    assert exported(GrpcExporter(ready["otlp_grpc"]), "grpc-certificate") is SpanExportResult.SUCCESS
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(pki.billing.certificate))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", str(pki.billing.key))
    assert exported(HttpExporter(traces), "of-another-scope") is SpanExportResult.FAILURE

    host, port = address(ready["api"])
    given = {
        "host": host,
        "port": port,
        "secure": True,
        "ca_cert": str(pki.servers.certificate),
        "proxy_path": "/sql",
    }
    sql = "SELECT DISTINCT tenant, ServiceName FROM otel_traces ORDER BY ALL"

    def rows(**shown: Any) -> list[Any]:
        client = clickhouse_connect.get_client(**given, **shown, autogenerate_session_id=False)
        try:
            return list(client.query(sql).result_rows)
        finally:
            client.close()

    certificate = {"client_cert": str(pki.shop.certificate), "client_cert_key": str(pki.shop.key)}
    until(
        lambda: (
            len(rows(username="anybody", password=token)) == 1 and len(rows(**certificate, username="a")) == 2
        )
    )
    assert rows(username="anybody", password=token) == [("acme", "http-token")]
    assert rows(**certificate, username="a") == [("shop", "grpc-certificate"), ("shop", "http-certificate")]
    assert server.http.get(server.url("/"), headers={"authorization": "Bearer lt_wrong"}).status_code == 401

    page = server.http.get(server.url("/")).text
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={ready['otlp_http']}" in page
    assert "OTEL_EXPORTER_OTLP_HEADERS" in page
    assert server.http.delete(server.url("/api/v1/demo")).status_code == 403
    with httpx2.Client(verify=pki.trust(), trust_env=False) as stranger:
        assert stranger.get(server.url("/")).status_code == 401
        assert stranger.get(server.url("/healthz")).status_code == 200
    with httpx2.Client(verify=pki.trust(pki.billing), trust_env=False) as billing:
        assert billing.get(server.url("/")).status_code == 403
        assert billing.get(server.url("/"), headers=bearer).status_code == 401  # of two tenants
    assert "Traceback" not in server.told()
    assert server.stop() == 0


def test_required_certificates_leave_the_owner_in(launch: Launcher, place: Path, pki: Pki) -> None:
    """Commands; plain text on each of the three ports; and the certificate is renewed. The next test has the
    demo play so."""
    token = tokens.make(launch.folder / "data", *tokens.ALL)
    required = ["--set", "tls.client_certificates=required", "--set", "tls.api_client_certificates=required"]
    server = served(launch, pki, *required)
    for arguments in (["cost", "--tenant", "shop"], ["demo", "--remove"]):
        done = ran(launch, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    answer = server.http.get(server.url("/"), headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, "certificate" in answer.json()["detail"]) == (401, True)

    ready = server.wait_ready()
    for name in ("api", "otlp_http", "otlp_grpc"):
        with socket.create_connection(address(ready[name]), timeout=30) as plain:
            plain.sendall(b"POST /v1/logs HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
            told = b""
            while piece := plain.recv(1000):
                told += piece
        assert b"https://" in told, name
    metrics = server.http.get(server.url("/metrics")).text
    assert 'lowtide_tls_handshakes_failed_total{listener="otlp_grpc",reason="plain_text"} 1.0' in metrics
    assert server.told().count("A TLS connection came to nothing") == 3
    renew(launch, server, place, pki)
    assert server.stop() == 0


def renew(launch: Launcher, server: Running, place: Path, pki: Pki) -> None:
    """Replace the files while it runs, one after the other: in between they do not go together."""
    ports = [address(server.wait_ready()[name]) for name in ("api", "otlp_http", "otlp_grpc")]

    def served_now() -> set[str]:
        return {ssl.get_server_certificate(port).strip() for port in ports}

    shutil.copy(pki.renewed.key, place / "tls.key")
    until(lambda: "lowtide_tls_reload_failures_total 0.0" not in server.http.get(server.url("/metrics")).text)
    assert served_now() == {pki.server.certificate.read_text().strip()}
    shutil.copy(pki.renewed.certificate, place / "tls.crt")
    until(lambda: served_now() == {pki.renewed.certificate.read_text().strip()})
    assert len(json.loads((server.data / "lowtide.lock").read_text())["certificates"]) == 2
    assert ran(launch, "sql", "SELECT 1").returncode == 0
    assert server.http.get(server.url("/healthz")).status_code == 200


def test_quickstart_plays_the_demo_over_tls(launch: Launcher, place: Path, pki: Pki) -> None:
    server = launch(
        "quickstart", *ANY_PORTS, "--once", "--days", "0.02", "--set", "tls.client_certificates=required"
    )
    assert server.process.wait(120) == 0, server.told()
    assert "records" in server.told()
    assert "https://" in server.told()


class TestStart:
    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            (lambda place, pki: (place / "tls.key").unlink(), "tls.key cannot be read"),
            (lambda place, pki: shutil.copy(pki.renewed.key, place / "tls.key"), "does not belong"),
            (lambda place, pki: (place / "ca.crt").write_text(""), "holds no certificate"),
        ],
    )
    def test_files_that_cannot_be_used_keep_it_from_starting(
        self, launch: Launcher, place: Path, pki: Pki, harm: Callable[[Path, Pki], object], said: str
    ) -> None:
        harm(place, pki)
        server = launch("serve", *ANY_PORTS)
        assert server.process.wait(60) == 1
        assert said in server.told()
        assert "Traceback" not in server.told()
        assert not server.said()

    def test_on_other_addresses_neither_insecure_nor_a_token_is_needed(
        self, launch: Launcher, place: Path, pki: Pki
    ) -> None:
        """A host name that is not `localhost` counts as an address that others can reach."""
        name = socket.gethostname()
        try:
            here = socket.gethostbyname(name)
        except OSError:
            here = ""
        if not here.startswith("127."):
            pytest.skip("this machine's own name is not one of loopback")
        put(pki.servers.issue("named", dns=[name]), place)
        server = served(launch, pki, "--listen", name, client=pki.shop)

        assert server.http.get(server.url("/")).status_code == 200
        assert ran(launch, "sql", "SELECT 1").returncode == 0

    def test_a_table_in_which_nobody_may_send_is_not_enough(self, launch: Launcher, place: Path) -> None:
        rules = json.dumps([{"san": "a", "scopes": ["read"]}])
        server = launch("serve", *ANY_PORTS, "--listen", "0.0.0.0", "--set", f"tls.clients={rules}")  # noqa: S104 - refused
        assert server.process.wait(60) == 2
        assert "nor a client certificate" in server.told()
