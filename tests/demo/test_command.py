"""`lowtide demo` from the outside: options, files, exit codes, what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner, Result

from lowtide.cli.demo import DEFAULT_SEED, RunningServer, register
from lowtide.demo.sending import SendError
from lowtide.demo.server import Removed
from lowtide.demo.settings import DemoSettings
from lowtide.errors import LowtideError, explain

NOW = "2026-11-19T15:00:00+01:00"
REMOVED = (
    200,
    {"Content-Type": "application/json"},
    b'{"rows": {"otel_traces": 1200, "otel_logs": 0}, "finished": true}',
)
SMALL = ["--now", NOW, "--days", "0.02", "--seed", "7"]


def not_here(_tell: Callable[[str], None]) -> Removed:
    raise AssertionError("a server was to be asked")


@pytest.fixture
def app() -> typer.Typer:
    found = typer.Typer()
    register(found, not_here)
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
    assert isinstance(result.exception, SendError)
    assert "401" in explain(result.exception)


def test_the_running_server_is_found(sink: Any) -> None:
    app = typer.Typer()
    register(app, not_here, lambda: RunningServer(api=sink.address, otlp_http=sink.address))
    app.command("other")(lambda: None)
    assert CliRunner().invoke(app, ["demo", *SMALL]).exit_code == 0
    assert sink.received
    assert CliRunner().invoke(app, ["demo", "--remove"]).exit_code == 0
    assert sink.deleted == [("/api/v1/demo", None)]


def test_removal_asks_the_api_and_reports_its_refusal(app: typer.Typer, sink: Any) -> None:
    sink.answers = [REMOVED, (409, {"Content-Type": "text/plain"}, b"a job runs")]
    good = CliRunner().invoke(app, ["demo", "--remove", "--api", sink.address, "--token", "secret"])
    bad = CliRunner().invoke(app, ["demo", "--remove", "--api", sink.address])
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert sink.deleted == [("/api/v1/demo", "Bearer secret"), ("/api/v1/demo", None)]
    assert good.stderr.splitlines()[0].split() == ["demo:", "otel_traces", "1,200"]
    assert "1,200 rows removed" in good.stderr
    assert "409: a job runs" in told(bad)
    assert sink.received == []


def test_without_a_server_it_is_removed_here() -> None:
    def here(tell: Callable[[str], None]) -> Removed:
        tell("at work")
        return Removed({"otel_traces": 1200, "otel_logs": 0}, finished=True)

    app = typer.Typer()
    register(app, here)
    app.command("other")(lambda: None)
    done = CliRunner().invoke(app, ["demo", "--remove"])
    assert done.exit_code == 0
    assert "demo: at work" in done.stderr
    assert "1,200 rows removed" in done.stderr


def told(result: Result) -> str:
    """What the command prints for the error it ended with."""
    assert isinstance(result.exception, LowtideError)
    return explain(result.exception)


def test_a_removal_during_which_the_demo_went_on_is_no_success(app: typer.Typer, sink: Any) -> None:
    status, headers, body = REMOVED
    sink.answers = [(status, headers, body.replace(b"true", b"false"))]
    result = CliRunner().invoke(app, ["demo", "--remove", "--api", sink.address])
    assert result.exit_code == 1
    assert "still being sent" in told(result)
    assert "Hint: Stop the `lowtide demo`" in told(result)


@pytest.mark.parametrize("answer", [(404, {}, b"no"), (200, {"Content-Type": "text/html"}, b"<html>")])
def test_another_server_than_ours_is_told_apart(app: typer.Typer, sink: Any, answer: Any) -> None:
    sink.answers = [answer]
    result = CliRunner().invoke(app, ["demo", "--remove", "--api", sink.address])
    assert "Is it the address of Lowtide's API?" in told(result)


@pytest.mark.parametrize("named", [[], ["--endpoint"], ["--endpoint", "--api"]])
def test_a_store_that_has_the_demo_is_not_given_it_twice(sink: Any, named: list[str]) -> None:
    app = typer.Typer()
    register(app, not_here, lambda: RunningServer(api=sink.address, otlp_http=sink.address))
    app.command("other")(lambda: None)
    given = [part for option in named for part in (option, sink.address)]
    sink.stored = True

    refused = CliRunner().invoke(app, ["demo", *SMALL, *given])
    assert refused.exit_code == 1
    assert "stored already" in told(refused)
    assert "--again" in told(refused)
    assert sink.received == []

    assert CliRunner().invoke(app, ["demo", *SMALL, *given, "--again"]).exit_code == 0
    assert sink.received


def test_a_server_that_cannot_be_asked_does_not_keep_from_playing_elsewhere(sink: Any) -> None:
    def broken() -> RunningServer | None:
        raise LowtideError("it is starting")

    app = typer.Typer()
    register(app, not_here, broken)
    app.command("other")(lambda: None)
    assert CliRunner().invoke(app, ["demo", *SMALL, "--endpoint", sink.address]).exit_code == 0
    assert sink.received


@pytest.mark.parametrize("option", ["--endpoint", "--api"])
@pytest.mark.parametrize(
    "text", ["foo", "127.0.0.1:14318", "http://", "ftp://h:1", "http://h:x", "http://h:0", "http://h:1?a=b"]
)
def test_an_address_that_is_none_is_refused_at_once(app: typer.Typer, option: str, text: str) -> None:
    result = CliRunner().invoke(app, ["demo", *SMALL, option, text], terminal_width=300)
    assert result.exit_code == 2
    assert "is no address; write http://HOST:PORT" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("option", ["--manifest", "--manifest-ids", "--truth"])
def test_files_are_tried_before_anything_is_sent(
    app: typer.Typer, sink: Any, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "missing" / "file"
    result = CliRunner().invoke(app, ["demo", *SMALL, "--endpoint", sink.address, option, str(path)])
    assert result.exit_code == 2
    assert "cannot be written" in " ".join(result.output.replace("│", " ").split())
    assert sink.received == []


def test_registering_imports_nothing_heavy() -> None:
    code = (
        "import sys, typer; from lowtide.cli.demo import register; register(typer.Typer(), None);"
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
