"""The ownership file: what is wrong is told with its line, and rules are read as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.ownership.globs import covers, matches
from analytics.ownership.rules import parse_rules

GOOD = """\
rules:
  - name: payments
    match:
      namespace: [payments, payments-*]
      labels: {app.kubernetes.io/part-of: "shop*"}
    team: payments
    cost_centre: CC-${labels.cost-center}
  - match: {team: ""}
    team: ${namespace}
  - environment: production
"""


def problems(text: str) -> list[str]:
    ruleset, found = parse_rules(text, "owners.yaml")
    assert not (found and ruleset.rules), "nothing is half-loaded"
    return [str(problem) for problem in found]


def test_rules_are_read_in_order() -> None:
    ruleset, found = parse_rules(GOOD, "owners.yaml")
    assert found == []
    assert [placed.shown for placed in ruleset.rules] == [
        "rule payments (line 2)", "rule 2 (line 8)", "rule 3 (line 10)",
    ]  # fmt: skip
    assert ruleset.columns() == ["labels.app.kubernetes.io/part-of", "labels.cost-center"]
    assert dict(ruleset.rules[0].rule.match.conditions()) == {
        "namespace": ("payments", "payments-*"),
        "labels.app.kubernetes.io/part-of": ("shop*",),
    }
    assert dict(ruleset.rules[1].rule.match.conditions()) == {"team": ("",)}
    assert ruleset.warnings == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: 1\n", ["owners.yaml:1: rules: an ownership file is a table with this list"]),
        ("", ["owners.yaml:1: rules: an ownership file is a table with this list"]),
        ("rules:\n  - x\n", ["owners.yaml:2: rules: a rule is a table"]),
        ("owner: x\nrules: []\n", ["owners.yaml:1: owner: there is no such key here"]),
        (
            "rules:\n  - match: {namespace: a}\n",
            ["owners.yaml:2: a rule says at least one of team, application, environment, cost_centre"],
        ),
        (
            "rules:\n  - match:\n      name_space: a\n    team: b\n",
            ["owners.yaml:3: match.name_space: there is no such key here"],
        ),
        (
            "rules:\n  - team: ${labels}\n  - team: ${label.team}\n  - team: a${namespace\n",
            [
                "owners.yaml:2: team: ${labels} refers to nothing; there are cluster, environment,",
                "owners.yaml:3: team: ${label.team} refers to nothing",
                "owners.yaml:4: team: a reference is not closed: ${labels.team}",
            ],
        ),
        (
            "rules:\n  - {name: a, team: b}\n  - {name: a, match: {namespace: c}, application: d}\n",
            ["owners.yaml:3: name: a is the name of the rule in line 2"],
        ),
        (
            "rules:\n  - match: {namespace: []}\n    team: b\n  - team: ''\n",
            ["owners.yaml:2: match.namespace: Value should have at least 1 item", "owners.yaml:4: team: "],
        ),
        ("rules:\n  - team: [a\n", ["owners.yaml:2: this is no YAML:"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: list[str]) -> None:
    found = problems(text)
    assert len(found) == len(told), found
    for line, beginning in zip(found, told, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("rules", "warned"),
    [
        ("- team: a\n- match: {namespace: x}\n  team: b\n", ["rule 2 (line 3)"]),
        ("- team: a\n- match: {namespace: x}\n  team: b\n  application: c\n", []),
        ("- match: {service: x*}\n  team: a\n- match: {service: [xy, x]}\n  team: b\n", ["rule 2 (line 4)"]),
        ("- match: {namespace: x*}\n  team: a\n- match: {namespace: [xy, y]}\n  team: b\n", []),
        ("- match: {namespace: x*}\n  team: a\n- match: {service: s}\n  team: b\n", []),
        ("- match: {namespace: x}\n  team: '${labels.team}'\n- match: {namespace: x}\n  team: b\n", []),
        (
            "- {match: {kind: x}, team: a}\n- application: a\n- {match: {kind: x}, team: b}\n",
            ["rule 3 (line 4)"],
        ),
    ],
)  # fmt: skip
def test_rules_that_can_never_say_anything(rules: str, warned: list[str]) -> None:
    ruleset, found = parse_rules("rules:\n" + rules, "f")
    assert found == []
    assert [warning.split(": ", 1)[1].partition(" never")[0] for warning in ruleset.warnings] == warned


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        ("a*", "a", True), ("a*", "ba", False), ("*", "", True), ("", "", True), ("", "a", False),
        ("?", "a", True), ("?", "", False), ("a.c", "abc", False), ("[a]", "a", False), ("[a]", "[a]", True),
        ("a*", "a\nb", True), ("A", "a", False), ("a", "a\n", False), ("é?", "éü", True), ("a|b", "a", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, text: str, *, is_match: bool) -> None:
    assert matches([pattern], text) is is_match


TEXTS = st.text(alphabet="ab*?.[", max_size=4)


@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(TEXTS, min_size=1, max_size=3), TEXTS)
def test_what_covers_matches_all_that_the_other_does(
    wider: list[str], narrower: list[str], text: str
) -> None:
    if covers(wider, narrower) and matches(narrower, text):
        assert matches(wider, text)
