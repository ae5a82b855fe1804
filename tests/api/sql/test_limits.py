"""No statement takes more than its share, and the next one is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api.settings import SqlSettings
from api.sql.errors import SqlEngineError, SqlError, SqlRequestError
from api.sql.service import SqlService
from ingest.store.engine import Engine

Ask = Callable[..., str]
MEMORY, TIME, RESULT, READ = 241, 159, 396, 158


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("SELECT count() FROM numbers(100000) AS a, numbers(100000) AS b, numbers(100000) AS c", {TIME}),
        ("SELECT count() FROM system.numbers", {READ}),
        ("SELECT count() FROM numbers(2000000)", {READ}),
        ("SELECT groupArray(repeat('x', 1000)) FROM numbers(1000000)", {MEMORY, TIME}),
        ("SELECT repeat('x', number % 400) AS t FROM numbers(1000000) ORDER BY t", {MEMORY, RESULT, TIME}),
        ("SELECT repeat('x', 1000000000)", {MEMORY}),
        ("SELECT length(arrayJoin(range(100000000)))", {MEMORY}),
        ("SELECT arrayMap(x -> range(100000), range(100000))", {MEMORY}),
        ("SELECT number FROM numbers(10000)", {RESULT}),
        ("SELECT repeat('x', 10000 + number % 2) FROM numbers(1000)", {RESULT}),
        ("SELECT repeat('x', 100000) FROM numbers(4000)", {RESULT, MEMORY}),
        ("SELECT arrayJoin(range(1000000))", {RESULT, MEMORY}),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", {306, TIME}),
    ],
)  # fmt: skip
def test_work_without_end_is_ended(ask: Ask, text: str, codes: set[int]) -> None:
    with pytest.raises(SqlEngineError) as ended:
        ask(text)

    assert ended.value.code in codes
    assert ask("SELECT count() FROM orders") == "90\n"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
        "SELECT " + "[" * 10_000 + "]" * 10_000,
        "SELECT " + "NOT " * 10_000 + "1",
        "SELECT " + "-" * 1 + " -" * 10_000 + "1",
        "SELECT " + "abs(" * 10_000 + "1" + ")" * 10_000,
        "SELECT 1" + "+1" * 50_000,
        "SELECT 1" + "[1]" * 20_000,
        "SELECT 1" + "::UInt8" * 10_000,
        "SELECT " + "CASE WHEN 1 THEN " * 5_000 + "1" + " END" * 5_000,
        "SELECT * FROM " + "(SELECT * FROM " * 5_000 + "orders" + ")" * 5_000,
        "SELECT 1" + " UNION ALL SELECT 1" * 10_000,
        "SELECT " + "x -> " * 10_000 + "1",
        "SELECT " + "if(1, " * 10_000 + "1" + ", 0)" * 10_000,
        "SELECT CAST([] AS " + "Array(" * 10_000 + "UInt8" + ")" * 10_000 + ")",
        "SELECT CAST('[]', repeat('Array(', 10000) || 'UInt8' || repeat(')', 10000))",
        "SELECT '" + '{"a":' * 10_000 + "1" + "}" * 10_000 + "'::JSON",
        "SELECT formatQuery('SELECT ' || repeat('(', 100000))",
        "SELECT {x:" + "Array(" * 10_000 + "UInt8" + ")" * 10_000 + "}",
        "SELECT 1 IN (" + ",".join(map(str, range(60_000))) + ")",
        "(" * 10_000,
        "/*" * 50_000,
        "SELECT '" + "x" * 300_000,
    ],
    ids=lambda text: text[:24],
)
def test_deep_and_long_statements_are_refused(ask: Ask, text: str) -> None:
    with pytest.raises(SqlError) as refused:
        ask(text, {"x": "[]"})

    assert refused.value.code in {62, 117, 159, 167, 168, 306, 396, 412, 572}
    assert ask("SELECT 1") == "1\n"


@pytest.mark.parametrize(
    "text",
    ["SELECT " + "abs(" * 100 + "1" + ")" * 100, "SELECT 1 IN (" + ",".join(map(str, range(5_000))) + ")",
     "SELECT 1" + " UNION ALL SELECT 1" * 200, "SELECT '" + "x" * 100_000 + "'"],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_generated_statements_are_answered(ask: Ask, text: str) -> None:
    assert ask(text)


def test_states_of_aggregates_that_are_garbage_end_in_an_error(ask: Ask) -> None:
    for kind in ("uniq, UInt64", "quantilesTDigest(0.5), Float64", "groupArray, String", "uniqExact, String"):
        for state in ("", "00", "ff" * 9, "ffffffff7f", "8080808080808080ff01", "01" * 40):
            try:
                ask(
                    "SELECT finalizeAggregation(CAST(unhex({s:String}) AS AggregateFunction(KIND)))".replace(
                        "KIND", kind
                    ),
                    {"s": state},
                )
            except SqlEngineError:
                continue
    assert ask("SELECT 1") == "1\n"


def test_the_answers_text_is_bounded_too(shop: Engine) -> None:
    with SqlService(shop, SqlSettings(max_answer_bytes=2000)) as service:
        with pytest.raises(
            SqlEngineError, match="3890 bytes as TabSeparated, more than the 2000 allowed"
        ) as ended:
            service.answer("SELECT number FROM numbers(1000)")
        assert ended.value.code == RESULT
        assert len(service.answer("SELECT number FROM numbers(100)").body) == 290


def test_parameters_count_to_the_statements_size(shop: Engine) -> None:
    with SqlService(shop, SqlSettings(max_statement_bytes=1024)) as service:
        with pytest.raises(SqlRequestError, match="more than the 1024 allowed") as refused:
            service.answer("SELECT {x:String}", {"x": "é" * 600})
        assert refused.value.code == 412
