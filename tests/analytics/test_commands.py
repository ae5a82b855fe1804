"""`lowtide cost`, `idle` and `recommend`, over the estate of docs/cost.md, in all formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import lowtide.asking
from analytics.answers import Basis
from analytics.grouping import CostTerms
from ingest.store.engine import Session
from lowtide.cli.app import run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    session: Session,
    example: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Command:
    """Runs a command against the process's engine: it may not open one of its own."""
    basis = Basis.load(example.settings, "USD", UTC)

    def ask(_run: Any, _settings: Any, path: str, params: Any, model: Any, local: Any) -> Any:
        answer = local(session, basis, datetime.now(UTC))
        assert path.startswith("/api/v1/")
        assert params["window"] == example.window
        terms = {field.name for field in fields(CostTerms)}
        assert params.keys() <= {"by", "window", "tenant", *terms}
        # As it would come from the API.
        return model.model_validate(json.loads(answer.model_dump_json()))

    monkeypatch.setattr(lowtide.asking, "ask", ask)
    monkeypatch.setattr(lowtide.asking, "TENANT", example.tenant)
    monkeypatch.chdir(tmp_path)

    def started(*arguments: str) -> tuple[int, str, str]:
        code = run([*arguments, "--window", example.window])
        out, err = capsys.readouterr()
        return code, out, err

    return started


def records(text: str, output: str) -> list[dict[str, Any]]:
    if output == "json":
        found: list[dict[str, Any]] = json.loads(text)
        return found
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("output", ["json", "csv"])
def test_costs_for_programs_have_every_digit(command: Command, output: str) -> None:
    code, out, _ = command("cost", "--by", "service", "--output", output)

    *rows, total = records(out, output)

    assert code == 0
    assert [row["name"] for row in rows] == [
        "checkout-api", "tax-rate", "quote-api", "badge", "idle", "system",
    ]  # fmt: skip
    assert [row["line"] for row in rows][-3:] == ["direct", "idle", "system"]
    assert (total["name"], total["total"], total["currency"]) == ("total", "0.279866670", "USD")
    assert sum(Decimal(row["total"]) for row in rows) == Decimal(total["total"])


def test_costs_for_people(command: Command) -> None:
    code, out, err = command("cost", "--by", "team")

    header, *lines = out.splitlines()

    assert code == 0
    assert header.split("  ")[0] == "Team"
    assert [line.split()[0] for line in lines] == ["checkout", "canvas", "idle", "system", "total"]
    assert lines[-1].split()[1:7] == ["0.18", "0.09", "<0.01", "<0.01", "0.00", "0.28"]
    assert err.startswith("Cost by team, ")
    assert "Not counted yet" in err
    assert err.endswith(".\n\n"), "a blank line before the table"


def test_costs_of_some_for_people(command: Command) -> None:
    code, out, err = command(
        "cost", "--by", "service", "--filter", 'service:"checkout-api"', "--idle", "shared", "--shared",
        'service:"quote-api"', "--overhead", "0.001",
    )  # fmt: skip

    header, *lines = out.splitlines()

    assert code == 0
    assert "Idle (USD)  Shared (USD)  Total (USD)" in header
    assert "System (USD)" not in header
    assert [line.split()[0] for line in lines] == ["checkout-api", "system", "total"]
    assert 'Of service:"checkout-api"; filtered away: 0.' in err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--filter", 'team="a"'), "at character 5 (=): this has no meaning here"),
        (("--shared", 'pod:"a"'), "there is no field pod; there are cluster, namespace,"),
        (("--overhead", "a lot"), "'a lot' is no amount from 0 to 1,000,000"),
        (("--overhead", "0.0000000001"), "nine decimals"),
    ],
)
def test_wrong_terms_are_wrong_usage(command: Command, given: tuple[str, str], told: str) -> None:
    code, out, err = command("cost", *given)

    assert (code, out) == (2, "")
    assert told in " ".join(err.split())


def test_the_same_total_however_it_is_grouped(command: Command) -> None:
    totals = set()
    for by in ("team", "application", "service", "workload", "namespace", "cluster"):
        _, out, _ = command("cost", "--by", by, "-o", "json")
        totals.add(json.loads(out)[-1]["total"])

    assert totals == {"0.279866670"}


@pytest.mark.parametrize("output", ["json", "csv"])
def test_idle_for_programs(command: Command, output: str) -> None:
    code, out, _ = command("idle", "--output", output)

    rows = {row["name"]: row for row in records(out, output)}

    assert code == 0
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "quote-api": "long tail", "tax-rate": "long tail",
    }  # fmt: skip
    assert rows["quote-api"]["cost"] == "0.028710569"
    assert float(rows["quote-api"]["longest_gap_s"]) == 2400


def test_idle_for_people_says_the_rule(command: Command) -> None:
    code, out, err = command("idle")

    assert code == 0
    assert "silent in 97% of its application's open minutes, 3 requests/h then" in out
    assert "Long tail: among those with the fewest requests, together at most 5% of all" in err


@pytest.mark.parametrize("output", ["json", "csv"])
def test_recommendations_for_programs(command: Command, output: str) -> None:
    code, out, _ = command("recommend", "--output", output)

    rows = {row["name"]: row for row in records(out, output)}

    assert code == 0
    assert {row["status"] for row in rows.values()} == {"candidate, not proven"}
    assert rows["quote-api"]["freed_per_week"] == "4.622401609"
    assert float(rows["quote-api"]["keep_alive_s"]) == 60
    reasons = rows["quote-api"]["reasons"]
    assert "how long it takes to start is not looked at yet" in (
        reasons if output == "json" else json.loads(reasons)
    )


def test_every_line_for_people_says_candidate(command: Command) -> None:
    code, out, err = command("recommend")

    _, *lines = out.splitlines()

    assert code == 0
    assert len(lines) == 2
    assert all("candidate, not proven" in line for line in lines)
    assert "It becomes a saving once a node can go." in err
    common = "how long it takes to start is not looked at yet"
    assert common in err
    assert "less than a week" in err, "what holds for all is said once"
    assert common not in out
    assert "2 candidates: 2 of low confidence free 12.55 USD a week" in err


def test_no_candidate_needs_a_reason(command: Command, example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowtide.asking, "TENANT", f"{example.tenant}-without-telemetry")

    code, out, err = command("recommend")

    assert (code, len(out.splitlines())) == (0, 1)
    assert "No workload could sleep with a saving, or none has 24 h of unsampled requests" in err


@pytest.mark.parametrize("what", ["cost", "idle", "recommend"])
def test_another_tenant_can_be_named(
    command: Command, example: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(lowtide.asking, "TENANT", "somebody-else")

    code, out, _ = command(what, "--tenant", example.tenant)
    unnamed, own, _ = command(what)
    wrong, _, err = command(what, "--tenant", "a/b")

    assert (code, unnamed) == (0, 0)
    assert len(out.splitlines()) > len(own.splitlines())
    assert wrong == 2
    assert "a tenant is letters" in err


def test_idle_for_people_shows_how_long_the_evidence_is(command: Command) -> None:
    _, out, err = command("idle")

    header, *lines = out.splitlines()

    assert "Evidence" in header
    assert all("1 h" in line for line in lines)
    assert "A verdict needs 1 h of evidence." in err


def test_services_for_programs_are_separate_fields(command: Command) -> None:
    _, out, _ = command("cost", "--by", "service", "--output", "json")

    row = json.loads(out)[0]

    assert (row["name"], row["service_namespace"], row["service"], row["environments"]) == (
        "checkout-api", "", "checkout-api", [],
    )  # fmt: skip


def test_quiet_says_only_the_rows(command: Command) -> None:
    _, out, err = command("--quiet", "recommend")

    assert out
    assert err == ""


@pytest.mark.parametrize("name", ["cost", "idle", "recommend"])
@pytest.mark.parametrize("window", ["3x", "0d", "2026-03-01T00:00/2026-03-02T00:00", "9999w"])
def test_a_wrong_window_is_wrong_usage_with_and_without_data(
    name: str, window: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run([name, "--data", str(tmp_path / "none"), "--window", window])
    out, err = capsys.readouterr()

    assert (code, out) == (2, "")
    assert "--window" in err
    assert "no data" not in err
