"""Rows as table, JSON and CSV: exact for programs, whole for people, harmless for both screens."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lowtide.output import Align, Column, Output, Unit, note, printable, render

COST = Column("cost", "Cost", Unit.MONEY, currency="USD")
COLUMNS = [
    Column("name", "Application"),
    COST,
    Column("idle", "Idle", Unit.SHARE),
    Column("memory_bytes", "Memory", Unit.BYTES),
    Column("gap_s", "Gap", Unit.SECONDS),
    Column("seen_at", "Last seen", Unit.INSTANT),
    Column("requests", "Requests", Unit.NUMBER),
]
ROW = {
    "name": "checkout",
    "cost": Decimal("1234.567890123456789"),
    "idle": 0.25,
    "memory_bytes": 1536,
    "gap_s": 0.0042,
    "seen_at": datetime(2026, 11, 20, tzinfo=UTC),
    "requests": 1_234_567,
}
NOTHING = dict.fromkeys(ROW)


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def written(rows: object, columns: list[Column], output: Output | str) -> str:
    file = io.StringIO()
    render(rows, columns, output, file=file)  # type: ignore[arg-type] - any rows
    return file.getvalue()


class TestJson:
    def test_values_are_exact(self) -> None:
        (record,) = json.loads(written([ROW], COLUMNS, "json"))

        assert record == {
            **ROW,
            "cost": "1234.567890123456789",
            "seen_at": "2026-11-20T00:00:00Z",
            "currency": "USD",
        }

    def test_missing_values_are_null(self) -> None:
        (record,) = json.loads(written([NOTHING], COLUMNS, "json"))

        assert set(record.values()) == {None, "USD"}

    def test_no_rows_are_an_empty_list(self) -> None:
        assert written([], COLUMNS, "json") == "[]\n"

    def test_every_row_is_a_line(self) -> None:
        assert len(written([ROW] * 3, COLUMNS, "json").splitlines()) == 5

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
    def test_what_json_cannot_hold_is_null(self, value: object) -> None:
        assert json.loads(written([{"x": value}], [Column("x", "X")], "json")) == [{"x": None}]

    def test_other_kinds_of_values(self) -> None:
        class Kind(StrEnum):
            A = "a"

        row = {"x": {"path": Path("/x"), "kind": Kind.A, "list": (1, Decimal("1E+3")), "d": date(2026, 1, 2)}}

        assert json.loads(written([row], [Column("x", "X")], "json")) == [
            {"x": {"path": "/x", "kind": "a", "list": [1, "1000"], "d": "2026-01-02"}}
        ]

    def test_an_unknown_kind_is_a_fault_of_the_program(self) -> None:
        with pytest.raises(TypeError, match="no notation for object"):
            written([{"x": object()}], [Column("x", "X")], "json")

    def test_rows_are_written_as_they_come(self) -> None:
        """A long answer does not collect in memory."""
        file = io.StringIO()
        seen = []

        def rows() -> Iterator[dict[str, int]]:
            for number in range(3):
                seen.append(file.getvalue().count('"x"'))
                yield {"x": number}

        render(rows(), [Column("x", "X")], "json", file=file)

        assert seen == [0, 1, 2]


class TestCsv:
    def test_values_are_exact(self) -> None:
        header, row = csv.reader(io.StringIO(written([ROW], COLUMNS, "csv")))

        assert header == [*ROW, "currency"]
        assert row == [
            "checkout",
            "1234.567890123456789",
            "0.25",
            "1536",
            "0.0042",
            "2026-11-20T00:00:00Z",
            "1234567",
            "USD",
        ]

    def test_missing_values_are_empty(self) -> None:
        assert written([NOTHING], COLUMNS, "csv").splitlines()[1] == ",,,,,,,USD"

    def test_no_rows_leave_the_header(self) -> None:
        assert written([], [Column("x", "X"), Column("y", "Y")], "csv") == "x,y\n"

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
    def test_no_text_is_a_formula_and_every_text_can_be_had_back(self, text: str) -> None:
        lines = written([{"x": text, "y": 1}], [Column("x", "X"), Column("y", "Y")], "csv")
        _, (cell, one) = csv.reader(io.StringIO(lines, newline=""))

        assert one == "1"
        if cell != text:
            assert cell == f"'{text}"
        number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell, re.ASCII)
        assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))

    @pytest.mark.parametrize(
        "text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1", "-1-1", "--1", "+"]
    )
    def test_formulas_are_disarmed(self, text: str) -> None:
        assert f"'{text}" in written([{"x": text}], [Column("x", "X")], "csv")

    @pytest.mark.parametrize("value", [-5, -0.5, Decimal("-0.25"), "-5", "+1.5e-3", "-.5"])
    def test_numbers_are_left_alone(self, value: object) -> None:
        assert "'" not in written([{"x": value}], [Column("x", "X")], "csv")


class TestTable:
    def test_figures_are_rounded_and_carry_their_unit(self) -> None:
        header, row = written([ROW], COLUMNS, "table").splitlines()

        assert header.split("  ") != []
        assert re.split(r"\s{2,}", header) == [
            "Application", "Cost (USD)", "Idle", "Memory", "Gap", "Last seen", "Requests",
        ]  # fmt: skip
        assert re.split(r"\s{2,}", row) == [
            "checkout", "1,234.57", "25.0 %", "1.5 KiB", "4.2 ms", "2026-11-20 00:00:00 UTC", "1,234,567",
        ]  # fmt: skip

    def test_missing_values_are_a_dash(self) -> None:
        assert written([NOTHING], COLUMNS, "table").splitlines()[1].split() == ["-"] * 7

    def test_without_a_terminal_a_line_is_a_row_of_plain_text(self) -> None:
        long = {**ROW, "name": "x" * 500}
        lines = written([long, ROW], COLUMNS, "table").splitlines()

        assert len(lines) == 3
        assert "x" * 500 in lines[1]
        assert "\x1b" not in "".join(lines)

    @pytest.mark.parametrize("columns", [20, 60, 80, 100, 200])
    def test_on_a_terminal_names_wrap_and_figures_stay_whole(
        self, columns: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        file = Terminal()
        name = "a-rather-long-service-name of several words"

        render([{**ROW, "name": name}], COLUMNS, "table", file=file)

        lines = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).splitlines()
        figures = ["1,234.57", "25.0 %", "1.5 KiB", "4.2 ms", "2026-11-20 00:00:00 UTC", "1,234,567"]
        text = "\n".join(lines[1:])
        for figure in figures:
            assert text.count(figure) == 1
            text = text.replace(figure, "")
        header = "\n".join(lines[:1])
        assert "Cost (USD)" in header
        assert "".join(text.split()) == name.replace(" ", "")
        narrowest = 16 + 12 + sum(map(len, ["Cost (USD)", *figures[1:]]))
        assert max(map(cell_len, lines)) <= max(columns, narrowest)

    @given(
        st.lists(
            st.tuples(st.text("ab's ", max_size=40), st.text("ab-", max_size=25), st.integers(0, 10**9)),
            min_size=1,
            max_size=3,
        ),
        st.integers(20, 160),
    )
    def test_on_a_terminal_no_letter_is_lost(self, rows: list[tuple[str, str, int]], columns: int) -> None:
        file = Terminal()
        table = [Column("a", "A"), Column("n", "N", Unit.NUMBER), Column("b", "B"), Column("c", "C")]
        cells = [{"a": name, "n": number, "b": why, "c": why} for why, name, number in rows]

        with mock.patch.dict(os.environ, {"COLUMNS": str(columns)}):
            render(cells, table, "table", file=file)

        text = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).partition("\n")[2]
        wanted = Counter("".join(f"{name}{why}{why}" for why, name, _ in rows))
        for letter in "ab's-":
            assert Counter(text)[letter] == wanted[letter], text

    @pytest.mark.parametrize("columns", [80, 120, 140, 150])
    def test_a_word_of_a_reason_stays_whole(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        file = Terminal()
        words = "silent in 70% of its application's open minutes, 18.3 requests/h then"
        titles = [
            "Workload",
            "Namespace",
            "Application",
            "Verdict",
            "Requests",
            "Active minutes",
            "Last request",
        ]
        table = [*(Column(title, title) for title in titles), Column("why", "Why")]

        render([{**dict.fromkeys(titles, "something-of-16c"), "why": words}], table, "table", file=file)

        text = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
        assert "application's" in text
        assert sorted("".join(words.split())) == sorted(
            "".join(text.partition("\n")[2].replace("something-of-16c", "").split())
        )

    def test_colours_only_on_a_terminal_that_wants_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        file = Terminal()
        render([ROW], COLUMNS, "table", file=file)
        assert "\x1b[" in file.getvalue()

        monkeypatch.setenv("NO_COLOR", "1")
        file = Terminal()
        render([ROW], COLUMNS, "table", file=file)
        assert re.search(r"\x1b\[[0-9;]*3[0-9]", file.getvalue()) is None

    def test_names_cannot_steer_the_terminal(self) -> None:
        text = written([{"x": "a\x1b[2Jb\nc\u202ed[bold]e"}], [Column("x", "X")], "table")

        assert text.splitlines()[1] == "a\\x1b[2Jb\\nc\\u202ed[bold]e"

    def test_a_column_may_show_itself(self) -> None:
        column = Column("x", "X", show=lambda value: f"<{value}>")

        assert written([{"x": 3}], [column], "table").splitlines()[1] == "<3>"
        assert json.loads(written([{"x": 3}], [column], "json")) == [{"x": 3}]

    @given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
    def test_every_row_is_one_line_of_equal_layout(self, names: list[str]) -> None:
        rows = [{"x": name, "n": 7} for name in names]
        lines = written(rows, [Column("x", "X"), Column("n", "N", Unit.NUMBER)], "table").split("\n")

        assert len(lines) == len(names) + 2
        assert {cell_len(line) for line in lines[:-1]} == {
            max(1, *(cell_len(printable(n)) for n in names)) + 3
        }
        assert all(line.endswith("7") for line in lines[1:-1])

    def test_other_kinds_of_values(self) -> None:
        row = {"a": True, "b": timedelta(seconds=90), "c": [1, 2], "d": Decimal("0.30")}
        columns = [
            Column("a", "A"),
            Column("b", "B", Unit.SECONDS),
            Column("c", "C"),
            Column("d", "D", Unit.NUMBER),
        ]

        assert re.split(r"\s{2,}", written([row], columns, "table").splitlines()[1]) == [
            "yes",
            "1.5 min",
            "[1, 2]",
            "0.30",
        ]

    def test_sides(self) -> None:
        assert Column("x", "X").side is Align.LEFT
        assert COST.side is Align.RIGHT
        assert Column("x", "X", align=Align.RIGHT).side is Align.RIGHT


class TestMoney:
    @pytest.mark.parametrize("output", Output)
    @pytest.mark.parametrize("value", [1.5, 1, "1.5"])
    def test_it_is_a_decimal(self, value: object, output: Output) -> None:
        with pytest.raises(TypeError, match="money is a Decimal"):
            written([{"cost": value}], [COST], output)

    @pytest.mark.parametrize("output", Output)
    def test_two_currencies_are_refused(self, output: Output) -> None:
        other = Column("other", "Other", Unit.MONEY, currency="EUR")
        with pytest.raises(ValueError, match="several currencies in one answer: EUR, USD"):
            written([{"cost": None, "other": None}], [COST, other], output)

    def test_it_has_a_currency_and_nothing_else_has(self) -> None:
        with pytest.raises(ValueError, match="money has a currency"):
            Column("x", "X", Unit.MONEY)
        with pytest.raises(ValueError, match="money has a currency"):
            Column("x", "X", currency="USD")

    @given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**9), max_value=10**9))
    def test_no_digit_is_lost(self, amount: Decimal) -> None:
        rows = [{"cost": amount}]

        assert Decimal(json.loads(written(rows, [COST], "json"))[0]["cost"]) == amount
        assert Decimal(written(rows, [COST], "csv").splitlines()[1].split(",")[0]) == amount


def test_rows_may_be_objects() -> None:
    @dataclass(frozen=True, slots=True)
    class Row:
        x: int

    assert json.loads(written([Row(3)], [Column("x", "X")], "json")) == [{"x": 3}]


def test_a_row_without_a_column_is_a_fault_of_the_program() -> None:
    with pytest.raises(KeyError):
        written([{}], [Column("x", "X")], "csv")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="yaml"):
        written([], COLUMNS, "yaml")


def test_rows_go_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    render([{"x": 1}], [Column("x", "X")], "csv")
    note("Two lines\nof \x1b[31mtext.")

    assert capsys.readouterr() == ("x\n1\n", "Two lines\nof \\x1b[31mtext.\n")
