"""SQL lies in files, and placeholders in migrations mean something."""

from __future__ import annotations

import pytest

from ingest.store.sql import load_sql
from ingest.store.template import render


def test_a_query_comes_without_its_heading() -> None:
    text = load_sql("analytics", "nodes")
    assert text.startswith(("SELECT", "WITH"))
    assert not text.endswith(";")


@pytest.mark.parametrize("name", ["../engine", "Nodes", "nodes.sql", "", "a-b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="does not name a query"):
        load_sql("analytics", name)


def test_a_query_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        load_sql("analytics", "no_such_query")


def test_values_and_fragments() -> None:
    assert render("TTL ${days} DAY", {"days": "9"}) == "TTL 9 DAY"
    assert render("${seconds(time_ns)}", {}) == render("${seconds($1)}", {}).replace("$1", "time_ns")
    assert "${" not in render("${key_values}", {})
    several = render("${scopes_of(a_table, its_scopes, its_records)}", {})
    assert "FROM a_table" in several
    assert "arrayJoin(its_scopes)" in several
    assert "AS its_records" in several
    assert render("${span.status.code}", {}) == "tupleElement(tupleElement(span, 'status'), 'code')"
    assert "CAST(tupleElement(event, 'key')," in render("${attribute_map(event)}", {})


@pytest.mark.parametrize("text", ["${nothing}", "${nothing(x)}"])
def test_a_placeholder_without_meaning_is_an_error(text: str) -> None:
    with pytest.raises(LookupError, match="nothing"):
        render(text, {})


def test_a_value_that_means_itself_ends() -> None:
    with pytest.raises(LookupError, match="without end"):
        render("${self}", {"self": "${self}"})
