"""Through a real server into the store: what the programs and the demo sent is there, every bit of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ingest.signals import Signal
from lowtide.demo.estate import load_estate
from lowtide.demo.manifest import Manifest
from lowtide.demo.player import Player
from lowtide.demo.settings import DemoSettings
from lowtide.demo.stage import set_up
from support import expected, wire
from support.launcher import Launcher, Running

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

ENDPOINTS = {"grpc": "otlp_grpc", "http/protobuf": "otlp_http", "http/json": "otlp_http"}


@pytest.fixture(scope="module")
def server(launching: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for the programs; each run has an id of its own."""
    with launching(tmp_path_factory.mktemp("arrive")) as launcher:
        yield launcher.serve()


def stored(server: Running, sql: str, **parameters: str) -> list[dict[str, Any]]:
    """The rows of a query, as a ClickHouse client of anybody's gets them."""
    where = urlsplit(server.wait_ready()["api"])
    with clickhouse_connect.get_client(host=where.hostname, port=where.port, proxy_path="sql") as client:
        answer = client.query(sql, parameters=parameters)
        return [dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows]


@pytest.mark.sdk
@pytest.mark.parametrize(
    ("language", "protocol"),
    [("python", "grpc"), ("node", "http/json"), ("java", "http/protobuf"), ("go", "grpc")],
)
def test_what_a_program_sends_arrives_whole(
    run_example: Any, server: Running, language: str, protocol: str
) -> None:
    run_id = f"{language} over {protocol}"
    done = run_example(
        language,
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.wait_ready()[ENDPOINTS[protocol]],
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_SERVICE_NAME": "quote-api",
            "OTEL_RESOURCE_ATTRIBUTES": "team=pricing,deployment.environment.name=b%C3%A4ta",
            "EXAMPLE_RUN_ID": run_id,
        },
    )
    assert done.returncode == 0, done.stderr
    server.wait_stored()

    rows = expected.expected_rows(json.loads(done.stdout))
    assert all(rows[table] for table in ("otel_traces", "otel_logs", "otel_metrics_sum"))
    for table, wanted in rows.items():
        found = stored(server, expected.query_of_run(table), run=run_id)
        assert expected.differences(table, wanted, found) == []


def sent_by_the_demo(settings: DemoSettings) -> dict[str, list[dict[str, Any]]]:
    """The rows of the requests that the same settings make."""
    kinds = {
        Signal.TRACES: (ExportTraceServiceRequest, "resource_spans"),
        Signal.METRICS: (ExportMetricsServiceRequest, "resource_metrics"),
        Signal.LOGS: (ExportLogsServiceRequest, "resource_logs"),
    }
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in expected.COLUMNS}
    for request in Player(set_up(load_estate(), settings), Manifest()).history():
        made, field = kinds[request.signal]
        for group in getattr(made.FromString(request.body), field):
            alone: dict[Signal, list[Any]] = {signal: [] for signal in Signal}
            alone[request.signal] = [made(**{field: [group]})]
            document = wire.arrived(alone[Signal.TRACES], alone[Signal.METRICS], alone[Signal.LOGS])
            document["resource"] = document["resources"][0]
            for table, found in expected.expected_rows(document).items():
                rows[table] += found
    return rows


def test_what_the_demo_sends_arrives_whole(launch: Launcher, tmp_path: Path) -> None:
    """An hour of a working day: enough for every kind of telemetry in it."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    now = noon - timedelta(days=max(0, noon.weekday() - 4))
    wanted = sent_by_the_demo(DemoSettings.ending(now, days=1 / 24))
    server = launch.serve()
    manifest = tmp_path / "manifest.json"
    demo = launch(
        "demo", "--endpoint", server.wait_ready()["otlp_http"], "--now", now.isoformat(),
        "--days", str(1 / 24), "--manifest", str(manifest),
    )  # fmt: skip
    assert demo.process.wait(300) == 0, demo.told()
    server.wait_stored()

    for table, rows in wanted.items():
        found = stored(server, expected.query(table))
        assert expected.differences(table, rows, found)[:20] == []
    assert min(len(wanted[f"otel_{kind}"]) for kind in ("traces", "logs", "metrics_gauge")) > 100
