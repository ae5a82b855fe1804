"""The lists of functions, held to the engine's own: what a newer engine brings must be looked at."""

from __future__ import annotations

import pytest

from api.sql.lists import (
    COMBINATORS,
    FOREIGN_TABLES,
    HIGHER_ORDER,
    TABLE_FUNCTIONS,
    allowed_functions,
    is_allowed_function,
    reason_against,
    refused_functions,
)
from ingest.store.engine import Session

# Names that the parser gives to parts of the language; the engine lists no functions under them.
SYNTAX = {"exists", "grouping", "lambda", "untuple"}


def names(handle: Session, sql: str) -> set[str]:
    return {name for (name,) in handle.rows(sql)}


class TestAgainstTheEngine:
    def test_every_function_is_in_one_list(self, handle: Session) -> None:
        engines = names(handle, "SELECT name FROM system.functions")

        listed = allowed_functions() | refused_functions().keys()

        assert engines - listed == set(), "new functions of the engine; put each into one of the lists"
        assert listed - engines == SYNTAX, "functions the engine does not have any more"
        assert allowed_functions() & refused_functions().keys() == set()

    def test_no_allowed_one_differs_from_a_refused_one_by_case_only(self) -> None:
        allowed = {name.lower() for name in allowed_functions()}

        assert allowed.isdisjoint(name.lower() for name in refused_functions())

    def test_none_is_defined_by_users(self, handle: Session) -> None:
        assert names(handle, "SELECT DISTINCT toString(origin) FROM system.functions") == {"System"}

    def test_the_aliases_of_refused_functions_are_refused(self, handle: Session) -> None:
        for name, original in handle.rows("SELECT name, alias_to FROM system.functions WHERE alias_to != ''"):
            assert is_allowed_function(name) == is_allowed_function(original), (name, original)

    def test_suffixes_of_aggregate_functions(self, handle: Session) -> None:
        engines = names(handle, "SELECT name FROM system.aggregate_function_combinators")

        assert set(COMBINATORS) == engines

    def test_functions_that_take_lambdas(self, handle: Session) -> None:
        engines = names(handle, "SELECT name FROM system.functions WHERE higher_order")

        assert {name for name in engines if is_allowed_function(name)} == HIGHER_ORDER

    def test_table_functions_exist_and_may_run_read_only(self, handle: Session) -> None:
        engines = names(handle, "SELECT name FROM system.table_functions WHERE allow_readonly")

        assert engines >= TABLE_FUNCTIONS

    def test_listed_tables_exist_and_hold_nothing_that_happens(self, handle: Session) -> None:
        engines = names(handle, "SELECT database || '.' || name FROM system.tables")

        assert engines >= FOREIGN_TABLES
        logs = {name for name in FOREIGN_TABLES if name.endswith(("_log", "processes", "users", "grants"))}
        assert logs == set()


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "sum",
            "SUM",
            "Sum",
            "sumIf",
            "sumStateIf",
            "quantilesTDigestMergeState",
            "uniqArrayIf",
            "countIfOrNull",
        ],
    )
    def test_allowed(self, name: str) -> None:
        assert is_allowed_function(name)

    @pytest.mark.parametrize(
        "name",
        ["file", "FILE", "fileIf", "State", "", "sumFile", "sum;", "sum ", "file\n", "sumI" + "f" * 200,
         "x" + "If" * 5000, "sum" + "If" * 5000],
    )  # fmt: skip
    def test_not_allowed(self, name: str) -> None:
        assert not is_allowed_function(name)

    def test_reasons_are_a_few_words(self) -> None:
        assert reason_against("FILE") == "files and disks"
        assert reason_against("nobodys") == "it is not on the list of functions that are allowed"
        assert all(reason_against(name) for name in refused_functions())
