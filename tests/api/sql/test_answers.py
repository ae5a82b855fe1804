"""What dashboards and people ask is answered, in the order and the formats they ask for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from api.sql.errors import SqlEngineError, SqlRequestError
from api.sql.formats import CONTENT_TYPES
from api.sql.service import SqlService
from ingest.store.engine import Session

Ask = Callable[..., str]


STATEMENTS = yaml.safe_load(Path(__file__).with_name("statements.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("wanted", STATEMENTS, ids=lambda wanted: wanted["sql"][:60])
def test_statement(ask: Ask, wanted: dict[str, str]) -> None:
    found = ask(wanted["sql"])

    assert found == wanted["answer"] + "\n" if "answer" in wanted else found


class TestOtherStatements:
    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("SHOW TABLES", "daily\norders\npayloads"),
            ("SHOW TABLES LIKE 'o%'", "orders"),
            ("SHOW TABLES NOT LIKE 'o%' LIMIT 1", "daily"),
            ("show tables from lowtide_shop ilike 'ORD%'", "orders"),
            ("SHOW DATABASES LIKE 'lowtide_s%'", "lowtide_shop"),
            ("EXISTS orders", "1"),
            ("EXISTS TABLE lowtide_shop.nothing", "0"),
            ("EXISTS DATABASE lowtide_shop", "1"),
            ("EXISTS DATABASE default", "0"),
            ("DESCRIBE (SELECT 1 AS x)", "x\tUInt8\t\t\t\t\t"),
            ("DESC payloads", "id\tUInt64\t\t\t\t\t\nbody\tJSON\t\t\t\t\t"),
            ("DESCRIBE TABLE `lowtide_shop`.`payloads`", "id\tUInt64\t\t\t\t\t\nbody\tJSON\t\t\t\t\t"),
        ],
    )
    def test_show_describe_exists(self, ask: Ask, text: str, answer: str) -> None:
        assert ask(text) == answer + "\n"

    def test_show_tables_of_system_are_those_that_may_be_read(self, ask: Ask) -> None:
        shown = ask("SHOW TABLES FROM system").split()

        assert {"columns", "tables", "settings"} <= set(shown)
        assert "processes" not in shown
        for table in shown:
            ask("SELECT * FROM system.{} LIMIT 1".replace("{}", table))

    def test_show_create(self, ask: Ask) -> None:
        assert ask("SHOW CREATE TABLE orders").startswith("CREATE TABLE lowtide_shop.orders")

    def test_describe_takes_parameters(self, ask: Ask) -> None:
        assert ask("DESCRIBE (SELECT {x:Date} AS d)", {"x": "2026-01-01"}) == "d\tDate\t\t\t\t\t\n"

    def test_a_pattern_is_only_a_pattern(self, ask: Ask) -> None:
        assert ask("SHOW TABLES LIKE 'x'' OR 1 = 1 --'") == ""


class TestFormats:
    @pytest.mark.parametrize("name", sorted(CONTENT_TYPES))
    def test_every_format_is_written(self, service: SqlService, name: str) -> None:
        text = "SELECT 'x' AS a" if name in ("RawBLOB", "LineAsString") else "SELECT 1 AS a, 'x' AS b"

        answer = service.answer(text, default_format=name)

        assert answer.format == name
        assert bool(answer.body) == (name != "Null")

    def test_the_statements_own_goes_first(self, service: SqlService) -> None:
        answer = service.answer("SELECT 1 AS a FORMAT JSONEachRow", default_format="CSV")

        assert (answer.format, answer.body) == ("JSONEachRow", b'{"a":1}\n')

    @pytest.mark.parametrize(
        ("text", "fmt", "body"),
        [
            ("SHOW TABLES LIKE 'daily' FORMAT CSV", "CSV", b'"daily"\n'),
            ("EXISTS orders FORMAT JSONCompactEachRow", "JSONCompactEachRow", b"[1]\n"),
            ("SELECT 1 format csv;", "CSV", b"1\n"),
            ("SELECT 'FORMAT JSON'", "TabSeparated", b"FORMAT JSON\n"),
        ],
    )
    def test_of_a_clause(self, service: SqlService, text: str, fmt: str, body: bytes) -> None:
        answer = service.answer(text)

        assert (answer.format, answer.body) == (fmt, body)

    @pytest.mark.parametrize(
        "text", ["SELECT 1 FORMAT Template", "SELECT 1 FORMAT Protobuf", "SELECT 1 FORMAT Nope"]
    )
    def test_others_are_refused(self, ask: Ask, text: str) -> None:
        with pytest.raises(SqlRequestError, match="is not offered here"):
            ask(text)

    def test_every_format_is_one_of_the_engines(self, handle: Session) -> None:
        engines = {name for (name,) in handle.rows("SELECT name FROM system.formats WHERE is_output")}

        assert set(CONTENT_TYPES) <= engines

    def test_parquet_is_whole(self, service: SqlService) -> None:
        answer = service.answer("SELECT id, price FROM orders ORDER BY id", default_format="Parquet")

        table = pq.read_table(io.BytesIO(answer.body))

        assert table.column("id").to_pylist() == list(range(90))

    def test_totals_are_kept(self, ask: Ask) -> None:
        answer = json.loads(
            ask("SELECT shop, count() AS n FROM orders GROUP BY shop WITH TOTALS FORMAT JSON")
        )

        assert answer["totals"]["n"] == 90


def test_the_order_of_a_long_answer_is_kept(ask: Ask) -> None:
    found = [int(line) for line in ask("SELECT number FROM numbers_mt(5000) ORDER BY number DESC").split()]

    assert found == sorted(found, reverse=True)
    assert len(found) == 5000


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "code", "name"),
        [
            ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER"),
            ("SELECT * FROM nothing", 60, "UNKNOWN_TABLE"),
            ("SELECT toInt8('x')", 6, "CANNOT_PARSE_TEXT"),
            ("SELECT {x:UInt8}", 456, "UNKNOWN_QUERY_PARAMETER"),
            ("SELECT throwIf(id = 89, 'late') FROM orders", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ],
    )
    def test_of_the_engine_are_passed_on(self, ask: Ask, text: str, code: int, name: str) -> None:
        with pytest.raises(SqlEngineError) as failed:
            ask(text)

        assert (failed.value.code, failed.value.name) == (code, name)
        assert "DB::Exception" not in str(failed.value)
        assert "(version" not in failed.value.body()

    @pytest.mark.parametrize("text", ["SELECT 1 +", "SELEC 1 2", "SELECT (1", "SELECT 'x", "\x00", "🦀 🦀"])
    def test_of_syntax_say_where(self, ask: Ask, text: str) -> None:
        with pytest.raises(SqlRequestError, match=r"[Ss]yntax error.* at position \d+") as failed:
            ask(text)

        assert failed.value.code == 62
