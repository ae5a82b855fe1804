"""Errors for a person: a sentence, the place, and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.sql.errors import SqlError
from api.sql.plain import PlainError, explain_error, from_wire

Ask = Callable[..., str]


@pytest.fixture
def told(ask: Ask) -> Callable[[str], PlainError]:
    def tell(statement: str) -> PlainError:
        with pytest.raises(SqlError) as failed:
            ask(statement)
        wire = from_wire(f"The server refused (400): {failed.value.body()}")
        assert wire == (failed.value.code, str(failed.value).strip())
        return explain_error(*wire, statement)

    return tell


@pytest.mark.parametrize(
    ("statement", "sentence", "shown", "column"),
    [
        ("SELECT 'é', frm FRM x y", "The statement cannot be parsed at column 21, near x", None, 21),
        (
            "SELECT 1,\n  a b c\nFROM orders",
            "The statement cannot be parsed at line 2, column 7, near c",
            "  a b c",
            7,
        ),
        ("SELECT\ta b c", "The statement cannot be parsed at column 12, near c", "SELECT a b c", 12),
        ("SELECT (1", "The statement cannot be parsed at column 10, near its end", None, 10),
        ("SELECT id, prise FROM orders", "Unknown expression identifier `prise` at column 12", None, 12),
        ("SELECT 1 FROM order", "Unknown table expression identifier 'order' at column 15", None, 15),
    ],
)
def test_where_it_points(
    told: Callable[[str], PlainError], statement: str, sentence: str, shown: str | None, column: int
) -> None:
    first, line, mark = told(statement).message.split("\n")

    assert first == f"{sentence}:"
    assert line == f"    {shown or statement}"
    assert mark == "    " + " " * (column - 1) + "^"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT 1; SELECT 2", "There is more than one statement."),
        ("SELECT file('x')", "The function file is refused: files and disks."),
        ("", "Empty query."),
        ("SELECT throwIf(1, 'no more')", "no more."),
    ],
)
def test_what_it_says(told: Callable[[str], PlainError], statement: str, message: str) -> None:
    assert told(statement).message == message


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("SELECT 1 +", "Expected there: "),
        ("SELECT id, prise FROM orders", "Maybe 'price'?"),
        ("SELECT count() FROM ordres", "Maybe lowtide_shop.orders?"),
        ("SELECT {x:UInt8}", "Give its value with --param NAME=VALUE."),
        ("SELECT number FROM numbers(10000)", "Add LIMIT"),
        ("SELECT count() FROM numbers(2000000)", "Read a shorter time range"),
        ("SELECT repeat('x', 1000000000)", "Group by fewer keys"),
    ],
)
def test_what_to_do(told: Callable[[str], PlainError], statement: str, hint: str) -> None:
    found = told(statement).hint

    assert found is not None
    assert found.startswith(hint)


def test_a_long_line_is_cut_around_the_place(told: Callable[[str], PlainError]) -> None:
    _, line, mark = told("SELECT " + "1, " * 500 + "a b c" + ", 1" * 500).message.split("\n")

    assert len(line) <= 170
    assert line[mark.index("^")] == "c"


def test_what_is_no_error_of_the_engine() -> None:
    assert from_wire("The server refused (502): Bad gateway") is None


@given(st.integers(0, 1100), st.text(max_size=80), st.text(max_size=80), st.integers(0, 200))
def test_any_words_are_explained(code: int, words: str, statement: str, at: int) -> None:
    assert explain_error(code, words, statement).message
    syntax = f"Syntax error: failed at position {at} (`{words}`): {words}. Expected one of: {words}"
    assert "cannot be parsed" in explain_error(62, syntax, statement).message
