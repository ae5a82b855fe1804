"""The language of filters: what OpenCost's own tests take and refuse, and what it means of a workload.

The texts that parse and those that do not are of OpenCost's `core/pkg/filter/allocation/parser_test.go`.
"""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analytics.errors import FilterError
from analytics.filters.columns import columns, matches
from analytics.filters.grammar import MOST_CHARACTERS, MOST_LEVELS, Comparison, Joined, Operator, parse

TAKEN = [
    'namespace: "kubecost"',
    'namespaceLabel[app]:"kubecost"',
    '((namespace: "kubecost"))',
    '(namespace: "kubecost" + services~:"foo" + cluster:"cluster-one" + controllerKind:"deployment")',
    'namespace: "kubecost" + services~:"foo" + (cluster:"cluster-one" + controllerKind:"deployment")',
    (
        'namespace: "kubecost" | services~:"foo" | (cluster:"cluster-one" + controllerKind:"deployment") | '
        'namespace:"bar","test"'
    ),
    'node:"node a b c" , "node 12 3"\n+\n\rnamespace : "kubecost"',
    '(namespace:"kubecost" | cluster<~:"cluster-") + services~:"foo"',
    '(label~:"foo" + label[foo]:"bar") | (label!~:"foo" + annotation~:"foo" + annotation[foo]:"bar")',
    (
        'namespace: "kubecost" | ((services~:"foo" | (cluster:"cluster-one" + controllerKind:"deployment") | '
        'namespace:"bar","test") + cluster~:"cluster-")'
    ),
]
REFUSED = {
    "()": "at character 2 ()): a field is missing here",
    'namespace.:"kubecost"': "at character 10 (.): this has no meaning here",
    '(namespace:"kubecost"))': "at character 23 ()): nothing was opened that this closes",
    '((namespace:"kubecost")': "at its end: a parenthesis is not closed",
    'namespace:"kubecost" | services~:"foo" + cluster:"bar"': "at character 40 (+): + and | are not mixed",
    'namespace:"kubecost" + services~:"foo" | cluster:"bar"': "at character 40 (|): + and | are not mixed",
    '(namespace:"kubecost" + (services~:"foo" | cluster:"bar") | controllerKind<~:"dep"))': "not mixed",
    '(namespace:"kubecost" + (services~:"foo" | cluster:"bar")) | controllerKind<~:"dep")': "nothing was",
    'namespace:"kubecost': 'at character 11 ("): a quote is not closed',
    "namespace:kubecost": "a value in double quotes is missing",
    'namespace "kubecost"': "an operator is missing",
    'namespace:"a" cluster:"b"': "comparisons are joined by + or |",
    'namespace:"a",': "at its end: a value in double quotes is missing",
    "(" * (MOST_LEVELS + 1): "deep at most",
    'namespace:"' + "x" * MOST_CHARACTERS + '"': "4,012 characters",
}
WORKLOADS = pl.DataFrame({
    "cluster": ["one", "one", "two"],
    "namespace": ["shop", "pay", ""],
    "workload_kind": ["Deployment", "StatefulSet", "Function"],
    "workload_name": ["cart", "ledger", "thumb(nail"],
    "service": ["cart", "ledger", "thumb"],
    "team": ["web", "unowned", "media"],
    "labels.tier": ["gold", "", None],
})  # fmt: skip


def meant(text: str) -> list[str]:
    return WORKLOADS.filter(matches(parse(text)))["workload_name"].to_list()


@pytest.mark.parametrize("text", TAKEN)
def test_what_opencost_takes(text: str) -> None:
    assert parse(text) is not None


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_filter_is_told_with_its_place(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)

    assert REFUSED[text] in str(caught.value)


def test_nothing_is_no_filter() -> None:
    assert parse(" \n\t ") is None
    assert meant("") == ["cart", "ledger", "thumb(nail"]


def test_what_is_read() -> None:
    assert parse('team!<~:"a \\"b\\\\","" | (label[x/y.z]:"c")') == Joined(
        every=False,
        parts=(
            Comparison("team", "", Operator.BEGINS, negated=True, values=('a "b\\', ""), at=0),
            Comparison("label", "x/y.z", Operator.IS, negated=False, values=("c",), at=24),
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('namespace:"shop","pay"', ["cart", "ledger"]),
        ('namespace!:"shop","pay"', ["thumb(nail"]),
        ('namespace:"__unallocated__"', ["thumb(nail"]),
        ('cluster:"one" + team!:"unowned"', ["cart"]),
        ('cluster:"two" | team:"unowned"', ["ledger", "thumb(nail"]),
        ('workload~:"b(n"', ["thumb(nail"]),
        ('controllerName<~:"c"', ["cart"]),
        ('services~>:"er"', ["ledger"]),
        ('services!~>:"er"', ["cart", "thumb(nail"]),
        ('controllerKind:"deployment","STATEFULSET"', ["cart", "ledger"]),
        ('label[tier]:"gold"', ["cart"]),
        ('label[tier]!:"gold"', ["ledger", "thumb(nail"]),
        ('(namespace:"shop" | namespace:"pay") + (team:"web" | service:"ledger")', ["cart", "ledger"]),
    ],
)
def test_whom_it_means(text: str, expected: list[str]) -> None:
    assert meant(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('cluster:"a" + pod:"b"', "at character 15: there is no field pod; there are cluster, namespace,"),
        ('label:"a"', "at character 1: label needs a key, as in label[app]"),
        ('team[x]:"a"', "at character 1: team has no keys"),
    ],
)
def test_what_is_not_known_of_workloads_is_told(text: str, told: str) -> None:
    with pytest.raises(FilterError) as caught:
        matches(parse(text))

    assert told in str(caught.value)


def test_labels_are_asked_for_once() -> None:
    found = parse('label[a]:"x" + (label[a]!:"y" | attribute[b.c]:"z") + namespaceLabel[d]:"w" + team:"t"')

    assert columns(found) == ("labels.a", "attributes.b.c", "namespace_labels.d")


@given(st.text(alphabet='abt:~<>!"[]()+|,\\ \n', max_size=40) | st.text(max_size=40))
@example('a:"\\\\"')
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        found = parse(text)
    except FilterError as error:
        assert "at " in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert found is not None or not text.strip()
