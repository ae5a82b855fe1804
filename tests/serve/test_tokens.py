"""Tokens and a real server: everybody else is kept out, this user's own commands go on working."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from lowtide.tokens.file import read_use
from lowtide.tokens.token import Scope, id_of
from support import tokens
from support.launcher import ANY_PORTS, Launcher, Running

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


@pytest.fixture
def command(launch: Launcher) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `lowtide ARGUMENTS` on the data directory to its end."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lowtide", *arguments, "--data", str(launch.folder / "data")],
            env=launch.environment, cwd=launch.folder,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def created(command: Callable[..., Any]) -> Callable[..., str]:
    """Runs `lowtide token create` and returns the token."""

    def create(*scopes: str, tenant: str = "default") -> str:
        given = [part for scope in scopes for part in ("--scope", scope)]
        ran = command("token", "create", "a test", *given, "--tenant", tenant)
        assert ran.returncode == 0, ran.stderr
        return str(ran.stdout.strip())

    return create


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


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
    with provider.get_tracer("test").start_as_current_span(name, kind=SpanKind.SERVER):
        pass
    provider.shutdown()
    return said[0]


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.05)


def rows(server: Running, token: str, sql: str) -> list[Any]:
    response = server.http.post(
        server.url("/sql"), params={"default_format": "JSONEachRow"}, content=sql, headers=bearer(token)
    )
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.fixture(scope="module")
def guarded(
    launching: Callable[[Path], AbstractContextManager[Launcher]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, str, str]]:
    """A server with a token of each of two tenants, which may do everything but `admin`; for tests that leave
    it as it is."""
    with launching(tmp_path_factory.mktemp("guarded")) as launcher:
        acme, umbra = (
            tokens.make(launcher.folder / "data", *tokens.WRITE, Scope.READ, Scope.QUERY, tenant=tenant)
            for tenant in ("acme", "umbra")
        )
        yield launcher.serve(), acme, umbra


def test_two_tenants_send_with_real_sdks_and_see_themselves_only(guarded: tuple[Running, str, str]) -> None:
    server, acme, umbra = guarded
    ready = server.wait_ready()
    http, grpc_target = ready["otlp_http"] + "/v1/traces", ready["otlp_grpc"]

    assert exported(HttpExporter(http, headers=bearer(acme)), "acme-http") is SpanExportResult.SUCCESS
    metadata = (("authorization", f"Bearer {umbra}"),)
    sender = GrpcExporter(grpc_target, insecure=True, headers=metadata)
    assert exported(sender, "umbra-grpc") is SpanExportResult.SUCCESS
    assert exported(HttpExporter(http), "nobody") is SpanExportResult.FAILURE
    assert exported(GrpcExporter(grpc_target, insecure=True), "nobody") is SpanExportResult.FAILURE

    sql = "SELECT DISTINCT tenant, ServiceName FROM otel_traces"
    until(lambda: rows(server, acme, sql) and rows(server, umbra, sql))
    assert rows(server, acme, sql) == [{"tenant": "acme", "ServiceName": "acme-http"}]
    assert rows(server, umbra, sql) == [{"tenant": "umbra", "ServiceName": "umbra-grpc"}]
    for token, own, other in ((acme, "acme-http", "umbra-grpc"), (umbra, "umbra-grpc", "acme-http")):
        for path in ("/", "/?by=service", "/api/v1/cost?by=service"):
            text = server.http.get(server.url(path), headers=bearer(token)).text
            assert own in text or path == "/"
            assert other not in text


def test_without_a_token_only_health_is_told(guarded: tuple[Running, str, str]) -> None:
    server, acme, _ = guarded
    described = server.http.get(server.url("/api/v1/openapi.json"), headers=bearer(acme)).json()
    for path in [*described["paths"], "/", "/sql", "/ping", "/sql/ping", "/static/lowtide.css", "/nothing"]:
        wanted = 200 if path in {"/healthz", "/readyz", "/metrics"} else 401
        assert server.http.get(server.url(path)).status_code == wanted, path
    assert server.http.delete(server.url("/api/v1/demo")).status_code == 401
    assert server.http.delete(server.url("/api/v1/demo"), headers=bearer(acme)).status_code == 403


def test_the_owners_commands_need_none(
    launch: Launcher, created: Callable[..., str], command: Callable[..., Any]
) -> None:
    created("write", "read", "query", tenant="acme")
    server = launch.serve()
    for arguments in (
        ["cost"], ["idle"], ["recommend"], ["spool", "status"], ["sql", "SELECT count() FROM otel_traces"],
        ["demo", "--days", "0.01"], ["demo", "--remove"],
    ):  # fmt: skip
        ran = command(*arguments)
        assert ran.returncode == 0, (arguments, ran.stderr)
    lock = server.data / "lowtide.lock"
    secret = json.loads(lock.read_text())["secret"]
    assert lock.stat().st_mode & 0o777 == 0o600
    assert secret not in server.told()
    assert server.stop() == 0
    assert secret not in lock.read_text()


def test_a_token_made_and_revoked_while_it_runs(
    launch: Launcher, created: Callable[..., str], command: Callable[..., Any]
) -> None:
    server = launch.serve()
    assert server.http.get(server.url("/")).status_code == 200
    token = created("read")
    until(lambda: server.http.get(server.url("/")).status_code == 401)
    assert server.http.get(server.url("/"), headers=bearer(token)).status_code == 200
    assert command("token", "revoke", id_of(token)).returncode == 0
    until(lambda: server.http.get(server.url("/"), headers=bearer(token)).status_code == 401)
    server.stop()
    assert read_use(server.data).keys() == {id_of(token)}
    assert "lt_" not in server.told()


def test_the_secret_of_a_start_is_no_argument_of_any_process(launch: Launcher) -> None:
    """Everybody on the machine can read those."""
    server = launch("quickstart", *ANY_PORTS, "--days", "0.2")
    lock = server.data / "lowtide.lock"
    until(lambda: lock.exists() and b'"secret"' in lock.read_bytes())
    secret = json.loads(lock.read_text())["secret"].encode()
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    until(children.read_text)
    for pid in [server.pid, *children.read_text().split()]:
        seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert secret not in seen


class TestOtherAddresses:
    """127.0.0.1 is all a test may listen on, so what starts is asked for through its other name."""

    def refused(self, launch: Launcher, *arguments: str) -> str:
        server = launch("serve", *ANY_PORTS, *arguments)
        assert server.process.wait(60) == 2
        return server.told()

    def test_plain_text_is_refused(self, launch: Launcher) -> None:
        tokens.make(launch.folder / "data", *tokens.WRITE)

        assert "--insecure" in self.refused(launch, "--listen", "0.0.0.0")  # noqa: S104 - refused

    def test_without_a_token_with_which_anybody_could_send_it_is_refused(self, launch: Launcher) -> None:
        data = launch.folder / "data"
        told = self.refused(launch, "--listen", "0.0.0.0", "--insecure")  # noqa: S104 - refused
        assert "lowtide token create" in told

        tokens.make(data, Scope.READ, Scope.QUERY, Scope.ADMIN)
        tokens.revoke(data, tokens.make(data, *tokens.WRITE))
        assert "token" in self.refused(launch, "--listen", "0.0.0.0", "--insecure")  # noqa: S104 - refused

    def test_insecure_does_not_mean_without_tokens(self, launch: Launcher) -> None:
        """A host name that is not `localhost` counts as an address that others can reach."""
        tokens.make(launch.folder / "data", Scope.WRITE_LOGS)
        name = socket.gethostname()
        if not _is_loopback(name):
            pytest.skip("this machine's own name is not one of loopback")
        server = launch.serve("--listen", name, "--insecure")
        ready = server.wait_ready()

        for path, status in (("/", 401), ("/metrics", 401), ("/readyz", 401), ("/healthz", 200)):
            assert server.http.get(server.url(path)).status_code == status
        sent = httpx2.post(f"{ready['otlp_http']}/v1/logs", json={}, trust_env=False)
        assert sent.status_code == 401
        with grpc.insecure_channel(ready["otlp_grpc"].partition("://")[2]) as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def _is_loopback(name: str) -> bool:
    try:
        return socket.gethostbyname(name).startswith("127.")
    except OSError:
        return False


def test_tokens_that_cannot_be_read_keep_it_from_starting(launch: Launcher) -> None:
    data = launch.folder / "data"
    tokens.make(data, *tokens.WRITE)
    (data / "tokens.json").write_text("{")
    server = launch("serve", *ANY_PORTS)

    assert server.process.wait(60) == 1
    assert "damaged" in server.told()
