"""`lowtide demo` from the outside: options, files, exit codes, what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from lowtide.cli.demo import DEFAULT_SEED, RunningServer, register
from lowtide.demo.settings import DemoSettings

NOW = "2026-11-19T15:00:00+01:00"
SMALL = ["--now", NOW, "--days", "0.02", "--seed", "7"]


@pytest.fixture
def app() -> typer.Typer:
    found = typer.Typer()
    register(found)
    found.command("other")(lambda: None)
    return found


def test_a_small_showing_with_all_its_files(app: typer.Typer, sink: Any, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("manifest.json", "ids.bin", "truth.yaml")]
    options = ["--manifest", str(files[0]), "--manifest-ids", str(files[1]), "--truth", str(files[2])]
    result = CliRunner().invoke(app, ["demo", "--endpoint", sink.address, *SMALL, *options])
    assert result.exit_code == 0, result.output
    assert "Papercrane" in result.stderr
    assert "records acknowledged" in result.stderr
    spans = [
        span
        for path, body in sink.received
        if path == "/v1/traces"
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    manifest = json.loads(files[0].read_text())
    assert (
        sum(manifest["made"]["traces"].values()) == len(spans) == manifest["sent"]["acknowledged"]["traces"]
    )
    assert manifest["seed"] == 7
    assert manifest["now"] == "2026-11-19T14:00:00+00:00"
    raw = files[1].read_bytes()
    identities = Counter(raw[at : at + 24] for at in range(0, len(raw), 24))
    assert identities == Counter(span.trace_id + span.span_id for span in spans)
    truth = yaml.safe_load(files[2].read_text())
    assert len(truth["stories"]) == 17
    assert truth["causal"]["shares_of_work"]["postgres"]["editor"] > 0
    assert truth["showing"]["seed"] == 7


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--now", "yesterday"], "is no ISO 8601 time"),
        (["--now", "2026-11-19T15:00:00"], "has no offset"),
        (["--now", (datetime.now(UTC) + timedelta(days=1)).isoformat()], "lies in the future"),
        (["--days", "0"], "greater than or equal to 0.01"),
        (["--rate", "-1"], "greater than or equal to 0.01"),
    ],
)
def test_bad_options_are_explained(app: typer.Typer, given: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["demo", "--endpoint", "http://127.0.0.1:1", *given], terminal_width=300)
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())


def test_refusals_end_the_showing_with_an_error(app: typer.Typer, sink: Any) -> None:
    sink.answers = [(401, {}, b"")] * 50
    result = CliRunner().invoke(app, ["demo", "--endpoint", sink.address, *SMALL])
    assert result.exit_code == 1
    assert "401" in result.stderr


def test_the_running_server_is_found(sink: Any) -> None:
    app = typer.Typer()
    register(app, lambda: RunningServer(api=sink.address, otlp_http=sink.address))
    app.command("other")(lambda: None)
    assert CliRunner().invoke(app, ["demo", *SMALL]).exit_code == 0
    assert sink.received
    assert CliRunner().invoke(app, ["demo", "--remove"]).exit_code == 0
    assert sink.deleted == [("/api/v1/demo", None)]


def test_removal_asks_the_api_and_reports_its_refusal(app: typer.Typer, sink: Any) -> None:
    sink.answers = [(204, {}, b""), (409, {"Content-Type": "text/plain"}, b"a job runs")]
    good = CliRunner().invoke(app, ["demo", "--remove", "--api", sink.address, "--token", "secret"])
    bad = CliRunner().invoke(app, ["demo", "--remove", "--api", sink.address])
    lost = CliRunner().invoke(app, ["demo", "--remove"])
    assert (good.exit_code, bad.exit_code, lost.exit_code) == (0, 1, 1)
    assert sink.deleted == [("/api/v1/demo", "Bearer secret"), ("/api/v1/demo", None)]
    assert "409: a job runs" in bad.stderr
    assert "--api" in lost.stderr
    assert sink.received == []


def test_registering_imports_nothing_heavy() -> None:
    code = (
        "import sys, typer; from lowtide.cli.demo import register; register(typer.Typer());"
        "print([m for m in ('numpy', 'httpx2', 'yaml', 'pydantic', 'google.protobuf') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_commands_defaults_are_the_settings_defaults() -> None:
    assert DemoSettings.model_fields["seed"].default == DEFAULT_SEED
    assert DemoSettings.model_fields["days"].default == 63.0


def test_the_guide_names_every_option_and_story(app: typer.Typer) -> None:
    from lowtide.demo.truth import planted

    guide = (Path(__file__).parents[2] / "docs" / "demo.md").read_text(encoding="utf-8")
    command = typer.main.get_command(app).commands["demo"]  # type: ignore[attr-defined]
    for parameter in command.params:
        assert parameter.opts[0] in guide
    rows = [line for line in guide.splitlines() if line.startswith("| ")]
    for story in planted()["stories"]:
        (row,) = [line for line in rows if line.startswith(f"| {story['story']} |")]
        for decoy in story["decoys"]:
            assert decoy["service"] in row or decoy["service"] == "funnel-api"
