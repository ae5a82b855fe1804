"""The reader of YAML that people write: lines, texts as written, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from ingest.yaml_lines import Items, Problem, Scalar, Table, YamlError, checked, plain, read_yaml

TEXT = """\
name: first      # a comment
price: 0.10
"quoted": "null"
nothing: null
nested:
  - {a: 1, b: [x, y]}
  -
    a: 2026-01-19
"""


def test_values_stay_as_written_with_their_lines() -> None:
    node = read_yaml(TEXT, "a.yaml")

    assert isinstance(node, Table)
    assert plain(node) == {
        "name": "first", "price": "0.10", "quoted": "null", "nothing": None,
        "nested": [{"a": "1", "b": ["x", "y"]}, {"a": "2026-01-19"}],
    }  # fmt: skip
    assert {key: value.line for key, value in node.fields.items()} == {
        "name": 1, "price": 2, "quoted": 3, "nothing": 4, "nested": 6,
    }  # fmt: skip
    nested = node.fields["nested"]
    assert isinstance(nested, Items)
    second = nested.nodes[1]
    assert isinstance(second, Table)
    assert second.fields["a"] == Scalar("2026-01-19", 8)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: [", ["a.yaml:1: this is no YAML"]),
        ("a: 1\nb: 2\na: 3\n", ["a.yaml:3: a is given twice, first in line 1"]),
        ("a: &x 1\nb: *x\n", ["a.yaml:1: anchors are not read", "a.yaml:2: aliases are not read"]),
        ("a: !!python/object:os.system x", ["a.yaml:1: tags such as tag:yaml.org,2002:python/object:os"]),
        ("a: 1\n---\nb: 1\n", ["a.yaml:2: there is a second document"]),
        ("? [1, 2]\n: x\n", ["a.yaml:1: a key is a text"]),
        ("[" * 17 + "]" * 17, ["a.yaml:1: this nests deeper than 16"]),
        ("a: \x00", ["a.yaml:1: this is no YAML"]),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, problems: list[str]) -> None:
    with pytest.raises(YamlError) as raised:
        read_yaml(text, "a.yaml")

    found = [str(problem) for problem in raised.value.problems]
    assert len(found) == len(problems)
    assert all(one.startswith(expected) for one, expected in zip(found, problems, strict=True)), found


def test_an_empty_text_is_nothing() -> None:
    assert read_yaml("# nothing but this\n", "a.yaml") == Scalar(None, 1)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Decimal


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: tuple[Part, ...]
    kind: int = 0


def test_problems_name_line_and_field() -> None:
    text = "colour: red\nkind: x\nparts:\n  - amount: 1\n  - amount: much\n  - {}\n"
    node = read_yaml(text, "b.yaml")
    assert isinstance(node, Table)

    found, problems = checked(Whole, node, "b.yaml")

    assert found is None
    assert sorted(str(problem) for problem in problems) == [
        "b.yaml:1: colour: there is no such key here",
        "b.yaml:1: name: is missing",
        "b.yaml:2: kind: Input should be a valid integer, unable to parse string as an integer, not 'x'",
        "b.yaml:5: parts.1.amount: Input should be a valid decimal, not 'much'",
        "b.yaml:6: parts.2.amount: is missing",
    ]


def test_common_fields_hold_where_there_is_none() -> None:
    node = read_yaml("name: n\nparts: [{amount: 0.10}]\n", "b.yaml")
    assert isinstance(node, Table)

    found, problems = checked(Whole, node, "b.yaml", {"kind": Scalar("7", 3), "name": Scalar("other", 4)})

    assert (found, problems) == (Whole(name="n", parts=(Part(amount=Decimal("0.10")),), kind=7), [])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    problems: Sequence[Problem] = ()
    try:
        node = read_yaml(text, "c.yaml")
    except YamlError as error:
        problems = error.problems
    lines = len(text.splitlines()) or 1
    assert problems or isinstance(node, Scalar | Items | Table)
    assert all(1 <= problem.line <= lines for problem in problems)
