"""Who owns what, from telemetry to answers, over the estate of docs/cost.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lowtide.asking
from analytics.answers import Basis, cost_answer, owners_answer, owners_explained
from analytics.cost import By
from ingest.store.engine import Session
from lowtide.cli.app import run
from support.cluster import full_hour, of_prometheus

RULES = """\
rules:
  - name: tax
    match: {service: "tax-*"}
    team: finance
    cost_centre: CC-7
  - match: {namespace: nobody}
    team: ghosts
  - match: {team: ""}
    team: leftovers of ${namespace}
  - environment: live
"""


def basis_of(example: Any, folder: Path, rules: str | None) -> Basis:
    """Without rules, nothing says a team either."""
    if rules is None:
        silent = {"team_attributes": ("nobody.says",)}
        return Basis.load(example.settings.model_copy(update=silent), "USD", UTC)
    path = folder / "owners.yaml"
    path.write_text(rules)
    return Basis.load(example.settings.model_copy(update={"ownership_file": path}), "USD", UTC)


def asked(example: Any) -> dict[str, Any]:
    return {"window": example.window, "now": datetime.now(UTC), "tenant": example.tenant}


def test_rules_say_whose_costs_are(session: Session, example: Any, tmp_path: Path) -> None:
    basis = basis_of(example, tmp_path, RULES)
    by_team = {row.name: row for row in cost_answer(session, basis, by=By.TEAM, **asked(example)).rows}
    assert {"finance"} <= by_team.keys()
    assert "unowned" not in by_team
    by_centre = {
        row.name: row for row in cost_answer(session, basis, by=By.COST_CENTRE, **asked(example)).rows
    }
    assert by_centre["CC-7"].total == by_team["finance"].total > 0
    assert by_centre["unowned"].line == "unowned"
    by_environment = cost_answer(session, basis, by=By.ENVIRONMENT, **asked(example)).rows
    assert [row.name for row in by_environment if row.line == "direct"] == ["live"]


TEAMS = st.sampled_from(["x", "${namespace}", "${labels.app.kubernetes.io/part-of}", "unowned", "total"])
RULE = st.fixed_dictionaries(
    {"team": TEAMS},
    optional={
        "match": st.dictionaries(
            st.sampled_from(["service", "namespace", "kind", "workload", "team", "cluster"]),
            st.sampled_from(["*", "", "c*", "tax-rate", "?"]), max_size=2,
        ),
        "application": st.sampled_from(["y", "${service}"]),
        "environment": st.sampled_from(["p", "${team}"]),
        "cost_centre": st.sampled_from(["idle", "${kind}"]),
    },
)  # fmt: skip


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several=st.lists(RULE, max_size=4), by=st.sampled_from(list(By)))
def test_no_rule_makes_or_loses_money(
    session: Session, example: Any, tmp_path: Path, several: list[Any], by: By
) -> None:
    basis = basis_of(example, tmp_path, json.dumps({"rules": several}))
    *rows, total = cost_answer(session, basis, by=by, **asked(example)).rows
    assert sum(row.total for row in rows) == total.total == Decimal("0.27986667")
    assert sum(row.requests or 0 for row in rows) == 1604


def test_owners_and_what_nobody_owns(session: Session, example: Any, tmp_path: Path) -> None:
    without = owners_answer(session, basis_of(example, tmp_path, None), **asked(example))
    assert (without.file, without.rules, without.unused_rules) == (None, 0, ())
    assert without.unowned_cost == sum(row.cost for row in without.rows if row.team == "unowned")
    assert without.owned_cost + without.unowned_cost == sum(row.cost for row in without.rows)
    assert without.unowned_cost > 0
    assert {row.told_by.get("team") for row in without.rows} == {None}
    assert {row.told_by.get("application") for row in without.rows} <= {"its own attributes", None}

    ruled = owners_answer(session, basis_of(example, tmp_path, RULES), **asked(example))
    assert ruled.unused_rules == ("rule 2 (line 6)", "rule 3 (line 8)")
    assert ruled.unowned_cost == 0
    (tax,) = [row for row in ruled.rows if row.service == "tax-rate"]
    assert (tax.team, tax.cost_centre, tax.environment) == ("finance", "CC-7", "live")
    assert tax.told_by["team"] == tax.told_by["cost_centre"] == "rule tax (line 2)"
    assert [row.cost for row in ruled.rows] == sorted((row.cost for row in ruled.rows), reverse=True)


def test_an_explanation_has_every_rule(session: Session, example: Any, tmp_path: Path) -> None:
    basis = basis_of(example, tmp_path, RULES)
    (found,) = owners_explained(session, basis, service="tax-rate", **asked(example)).rows
    assert [(one.rule, one.matches) for one in found.tried][:2] == [("tax", True), ("2", False)]
    assert found.tried[0].counts == ("team", "cost_centre")
    assert found.tried[1].why_not.startswith("namespace is ")
    assert found.known["service"] == "tax-rate"
    assert owners_explained(session, basis, service="nobody", **asked(example)).rows == ()


def test_labels_come_from_resources_and_from_kube_state_metrics(
    session: Session, telemetry: Any, tenant: str, example: Any, tmp_path: Path
) -> None:
    start = full_hour(2)
    at = start + timedelta(minutes=20)
    otel = {
        "k8s.cluster.name": "fra", "k8s.namespace.name": "shop", "k8s.deployment.name": "otel",
        "k8s.pod.name": "otel-1", "k8s.container.name": "main", "k8s.node.name": "node-1",
        "k8s.pod.labels.team": "payments too",
    }  # fmt: skip
    telemetry.gauges(otel, [("k8s.container.cpu_request", 1.0, at, {})])
    telemetry.prometheus(of_prometheus(at, start))
    telemetry.store()
    rules = "rules: [{match: {labels: {team: 'pay*'}}, team: 'the team ${labels.team}'}]"
    window = f"{start.isoformat()}/{(start + timedelta(hours=1)).isoformat()}"
    now = datetime.now(UTC)
    found = owners_answer(session, basis_of(example, tmp_path, rules), window=window, now=now, tenant=tenant)
    assert {row.name: row.team for row in found.rows} == {
        "fra/shop/otel": "the team payments too", "fra/shop/checkout": "the team payments",
        "fra/shop/quote": "commerce", "fra/shop/agent": "commerce", "fra/shop/nightly": "commerce",
    }  # fmt: skip


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

    def started(*arguments: str, rules: str | None = None) -> tuple[int, str, str]:
        basis = basis_of(example, tmp_path, rules)
        if rules is not None:
            (tmp_path / "lowtide.toml").write_text(
                f'[analytics]\nownership_file = "{tmp_path}/owners.yaml"\n'
            )

        def ask(_run: Any, _settings: Any, path: str, params: Any, model: Any, local: Any) -> Any:
            assert path in ("/api/v1/owners", "/api/v1/owners/explanation")
            return model.model_validate(
                json.loads(local(session, basis, datetime.now(UTC)).model_dump_json())
            )

        monkeypatch.setattr(lowtide.asking, "ask", ask)
        monkeypatch.setattr(lowtide.asking, "TENANT", example.tenant)
        monkeypatch.chdir(tmp_path)
        code = run(["owners", *arguments, "--window", example.window])
        out, err = capsys.readouterr()
        return code, out, err

    return started


def lines_with(text: str, words: Iterable[str]) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_the_commands_say_who_and_why(command: Command) -> None:
    code, out, _ = command("list", rules=RULES)
    assert code == 0
    assert lines_with(out, ["tax-rate", "finance", "live", "CC-7"])
    code, out, err = command("check", "tax-rate", rules=RULES)
    assert code == 0
    assert "team: finance, says rule tax (line 2)" in err
    assert lines_with(out, ["namespace is ", "not nobody"])
    code, _, err = command("check", "nobody", rules=RULES)
    assert (code, "Nothing in this window is called nobody." in err) == (1, True)
    code, out, _ = command("check", "tax-rate", "--output", "json", rules=RULES)
    assert [row["rule"] for row in json.loads(out)] == ["tax", "2", "3", "4"]


def test_too_much_that_is_unowned_is_an_exit_code(command: Command) -> None:
    code, out, err = command("check", "--max-unowned-share", "0.0001")
    assert code == 3
    assert "There is no ownership file" in err
    assert "100.0 % of the cost has no team, <0.1 % may." in err
    assert out.splitlines()[0].startswith("Workload")
    assert command("check", "--max-unowned-share", "0", rules=RULES)[0] == 0


def test_a_wrong_file_is_told_whoever_answers(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("check", rules=RULES)
    (tmp_path / "owners.yaml").write_text("rules:\n  - teem: a\n")
    assert run(["owners", "check"]) == 1
    assert "owners.yaml:2: teem: there is no such key here" in capsys.readouterr().err


def test_a_file_that_the_server_does_not_go_by_is_told(command: Command) -> None:
    words = "owners.yaml is in order, but the running server does not go by it"
    assert words not in command("check", rules=RULES)[2]
    assert words in command("check")[2]  # the settings name it still, what answers has none
