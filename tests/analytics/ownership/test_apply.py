"""What rules say of frames, and that an explanation comes to the same."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from analytics.ownership.apply import FROM, OWNED, asked_of, owned
from analytics.ownership.explain import tried
from analytics.ownership.rules import NAMES, SAID, Match, Placed, Rule, Ruleset

KEYS = ("labels.team", "attributes.unit")
COLUMNS = (*NAMES.values(), *KEYS)
WORDS = st.sampled_from(["", "a", "b", "ab", "A b\n"])
PATTERNS = st.lists(st.sampled_from(["", "a", "*", "a*", "?", "[", "b|a", "*b\n"]), min_size=1, max_size=2)
SAYINGS = st.sampled_from([
    "x", "${labels.team}", "${ namespace }-${attributes.unit}", "${team}", "z${service}z", "$x",
])  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    names = draw(st.lists(st.sampled_from(list(NAMES)), max_size=2, unique=True))
    match: dict[str, Any] = {name: draw(PATTERNS) for name in names}
    if draw(st.booleans()):
        match["labels"] = {"team": draw(PATTERNS)}
    said = draw(st.dictionaries(st.sampled_from(SAID), SAYINGS, min_size=1))
    return Rule(match=Match(**match), **said)


def ruleset_of(several: list[Rule]) -> Ruleset:
    return Ruleset("f", tuple(Placed(rule, number, number * 2) for number, rule in enumerate(several, 1)))


WORKLOADS = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, WORDS)), min_size=1, max_size=4)


@given(st.lists(rules(), max_size=5), WORKLOADS)
def test_frames_and_explanations_agree(several: list[Rule], workloads: list[dict[str, str]]) -> None:
    ruleset = ruleset_of(several)
    frame = owned(pl.DataFrame(workloads, schema=dict.fromkeys(COLUMNS, pl.String)), ruleset)
    for row in frame.iter_rows(named=True):
        story = tried(row, ruleset)
        assert [one.placed.number for one in story] == list(range(1, len(several) + 1))
        for name in SAID:
            by = [one for one in story if name in one.counts]
            assert len(by) <= 1
            own = {"team": row["team"], "application": row["application"], "environment": row["environment"]}
            assert row[OWNED[name]] == (by[0].says[name] if by else own.get(name, ""))
            assert row[FROM[name]] == (by[0].placed.number if by else None)
    assert not [name for name in frame.columns if name.startswith("match ")]


def one(ruleset: Ruleset, **workload: str) -> dict[str, Any]:
    row = dict.fromkeys((*NAMES.values(), *ruleset.columns()), "") | workload
    return owned(pl.DataFrame([row]), ruleset).row(0, named=True)


def test_the_first_rule_that_says_something_counts_for_it() -> None:
    ruleset = ruleset_of([
        Rule(match=Match(namespace=("shop-*",)), team="shop"),
        Rule(match=Match(kind=("Job",)), team="batch", application="nightly"),
        Rule(team="all", environment="production"),
    ])  # fmt: skip
    found = one(ruleset, namespace="shop-a", workload_kind="Job", environment="staging", team="its own")
    assert [found[OWNED[name]] for name in SAID] == ["shop", "nightly", "production", ""]
    assert [found[FROM[name]] for name in SAID] == [1, 2, 3, None]


def test_what_is_empty_is_not_said() -> None:
    ruleset = ruleset_of([
        Rule(team="${labels.team}"), Rule(match=Match(team=("",)), team="nobody in ${namespace}"),
    ])  # fmt: skip
    assert one(ruleset, namespace="n")[OWNED["team"]] == "nobody in n"
    assert one(ruleset, namespace="n", team="own")[OWNED["team"]] == "own"
    assert one(ruleset, namespace="n", team="own", **{"labels.team": "l"})[OWNED["team"]] == "l"


def test_labels_are_asked_for_under_both_names_that_collectors_give_them() -> None:
    asked = asked_of(
        ruleset_of([Rule(match=Match(labels={"a/b": ("x",)}), team="${attributes.unit}")]).columns()
    )
    assert [(each.name, each.attributes) for each in asked] == [
        ("labels.a/b", ("k8s.pod.label.a/b", "k8s.pod.labels.a/b")), ("attributes.unit", ("unit",)),
    ]  # fmt: skip


def test_without_rules_everybody_is_what_they_say() -> None:
    found = one(Ruleset(), team="t", environment="e")
    assert [found[OWNED[name]] for name in SAID] == ["t", "", "e", ""]
