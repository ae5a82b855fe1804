"""Every way out of the tables that we know of is refused, and nothing is read or changed on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from api.sql.errors import SqlError, SqlRefusedError, SqlRequestError
from api.sql.guard import approve
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreError

Ask = Callable[..., str]
CONTENT = "correct horse battery staple"

# A function that must not be called, in every place where a statement can have an expression.
PLACES = {
    "select": "SELECT {}",
    "quoted name": "SELECT `FILE`",
    "parentheses": "(SELECT {})",
    "with": "WITH {} AS x SELECT x",
    "scalar subquery": "WITH (SELECT {}) AS x SELECT x",
    "cte": "WITH x AS (SELECT {} AS y) SELECT y FROM x",
    "recursive cte": "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + length({}) FROM r WHERE n < 3) "
    "SELECT * FROM r",
    "subquery": "SELECT * FROM (SELECT {})",
    "where": "SELECT 1 WHERE {} = ''",
    "prewhere": "SELECT 1 FROM orders PREWHERE {} = ''",
    "having": "SELECT count() FROM orders HAVING {} = ''",
    "qualify": "SELECT id FROM orders QUALIFY {} = ''",
    "group by": "SELECT 1 FROM orders GROUP BY {}",
    "grouping sets": "SELECT 1 FROM orders GROUP BY GROUPING SETS (({}), ())",
    "order by": "SELECT id FROM orders ORDER BY {}",
    "fill from": "SELECT id FROM orders ORDER BY id WITH FILL FROM length({}) TO 9",
    "fill step": "SELECT id FROM orders ORDER BY id WITH FILL STEP length({})",
    "interpolate": "SELECT id, 1 AS y FROM orders ORDER BY id WITH FILL INTERPOLATE (y AS length({}))",
    "limit": "SELECT 1 LIMIT length({})",
    "offset": "SELECT 1 LIMIT 1 OFFSET length({})",
    "limit by": "SELECT id FROM orders LIMIT 1 BY {}",
    "distinct on": "SELECT DISTINCT ON ({}) 1",
    "join on": "SELECT 1 FROM system.one AS a JOIN system.one AS b ON {} = ''",
    "array join": "SELECT 1 FROM system.one ARRAY JOIN [{}] AS x",
    "in": "SELECT 1 IN (length({}))",
    "in subquery": "SELECT 1 IN (SELECT length({}))",
    "exists": "SELECT 1 WHERE EXISTS (SELECT {})",
    "any": "SELECT '' = ANY(SELECT {})",
    "union": "SELECT '' UNION ALL SELECT {}",
    "intersect": "SELECT '' INTERSECT SELECT {}",
    "from first": "FROM orders SELECT {}",
    "branch never taken": "SELECT if(0, {}, '')",
    "case": "SELECT CASE WHEN {} = '' THEN 1 END",
    "cast": "SELECT {}::String",
    "interval": "SELECT now() + INTERVAL length({}) DAY",
    "tuple element": "SELECT tuple({}).1",
    "array element": "SELECT [{}][1]",
    "aggregate": "SELECT max({}) FROM orders",
    "parameter of an aggregate": "SELECT quantile(length({}))(id) FROM orders",
    "window partition": "SELECT sum(id) OVER (PARTITION BY {}) FROM orders",
    "window frame": "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN length({}) PRECEDING AND CURRENT ROW) "
    "FROM orders",
    "named window": "SELECT sum(id) OVER w FROM orders WINDOW w AS (PARTITION BY {})",
    "lambda": "SELECT arrayMap(x -> {}, [1])",
    "alias of a lambda": "WITH x -> {} AS upper SELECT upper('')",
    "apply lambda": "SELECT * APPLY(x -> {}) FROM (SELECT 1)",
    "replace": "SELECT * REPLACE ({} AS y) FROM (SELECT '' AS y)",
    "argument of a table function": "SELECT * FROM numbers(length({}))",
    "values": "SELECT * FROM values('a String', ({}))",
    "describe": "DESCRIBE (SELECT {})",
    "comments": "SELECT /* SELECT 1 */ {} -- ''",
}


def statement(place: str, expression: str) -> str:
    text = PLACES[place].replace("{}", expression)
    return text.replace("`FILE`", "`FILE`" + expression.removeprefix("file"))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(CONTENT)
    return path


class TestFile:
    @pytest.mark.parametrize("place", PLACES)
    def test_is_refused_wherever_it_stands(self, ask: Ask, secret: Path, place: str) -> None:
        with pytest.raises(SqlRefusedError, match=r"(?i)the function file is refused: files and disks"):
            ask(statement(place, f"file('{secret}')"))

    @pytest.mark.parametrize("place", PLACES)
    def test_is_refused_before_anything_is_read(self, ask: Ask, place: str) -> None:
        """Whoever evaluated it would say that there is no such file."""
        with pytest.raises(SqlRefusedError, match="is refused") as refused:
            ask(statement(place, "file('/nonexistent/here')"))

        assert "nonexistent" not in str(refused.value)

    @pytest.mark.parametrize(
        "text",
        [
            "SELECT * APPLY file FROM (SELECT '{}' AS x)",
            "SELECT * APPLY(file) FROM (SELECT '{}' AS x)",
            "SELECT COLUMNS('x') APPLY(file) FROM (SELECT '{}' AS x)",
            "SELECT t.* APPLY file FROM (SELECT '{}' AS x) AS t",
            "SELECT * EXCEPT(y) APPLY(upper) APPLY(file) FROM (SELECT '{}' AS x, 1 AS y)",
            "SELECT COLUMNS(x, y) EXCEPT y APPLY file FROM (SELECT '{}' AS x, 1 AS y)",
            "SELECT arrayMap(file, ['{}'])",
            "SELECT arrayMap(`file`, ['{}'])",
            "SELECT arrayMap(FILE, ['{}'])",
            "WITH file AS f SELECT arrayMap(f, ['{}'])",
            "SELECT arrayFilter(file, ['{}'])",
            "SELECT mapApply(file, map('{}', 1))",
            "SELECT arrayMap(upper, arrayMap(file, ['{}']))",
        ],
    )
    def test_is_refused_where_only_its_name_stands(self, ask: Ask, secret: Path, text: str) -> None:
        with pytest.raises(SqlRefusedError, match=r"(?i)function file is refused"):
            ask(text.replace("{}", str(secret)))

    @pytest.mark.parametrize(
        "text",
        [
            "SELECT * FROM file('{}', 'LineAsString')",
            "SELECT * FROM file('{}', 'LineAsString', 'x String')",
            "SELECT * FROM (SELECT * FROM FILE('{}', LineAsString))",
            "SELECT 1 IN (SELECT * FROM file('{}', 'LineAsString'))",
            "DESCRIBE file('{}')",
            "DESCRIBE TABLE file('{}', 'LineAsString')",
            "SELECT * FROM `{}`",
            "SELECT * FROM '{}'",
            "SELECT * FROM default.`{}`",
            "SELECT * FROM merge('default', '.*')",
            "INSERT INTO orders FROM INFILE '{}' FORMAT LineAsString",
        ],
    )
    def test_is_no_table_either(self, ask: Ask, secret: Path, text: str) -> None:
        with pytest.raises(SqlError) as refused:
            ask(text.replace("{}", str(secret)))

        assert CONTENT not in str(refused.value)

    def test_other_names_do_not_become_it(self, ask: Ask, secret: Path) -> None:
        assert ask(f"WITH file AS upper SELECT upper('{secret}')").strip() == str(secret).upper()
        assert ask("WITH file AS (SELECT 1 AS x) SELECT x FROM file") == "1\n"


class TestNothingIsEvaluated:
    """The guard must not run what it judges: some functions do their harm by being called."""

    @pytest.mark.parametrize("place", [place for place in PLACES if place != "quoted name"])
    def test_the_guard_approves_without_calling(self, shop: Engine, handle: Session, place: str) -> None:
        calling = statement(place, "toString(throwIf(1, 'called'))")

        approved = approve(handle, calling, {}, shop.target.database)

        assert "throwIf" in approved.sql


class TestTableFunctions:
    @pytest.mark.parametrize(
        "call",
        [
            "url('http://127.0.0.1:1/', CSV, 'a String')",
            "urlCluster('c', 'http://127.0.0.1:1/', CSV, 'a String')",
            "remote('127.0.0.1:1', system.one)",
            "remoteSecure('127.0.0.1:1', system.one)",
            "cluster('default', system.one)",
            "clusterAllReplicas('default', system.one)",
            "s3('http://127.0.0.1:1/a', CSV)",
            "gcs('http://127.0.0.1:1/a', CSV)",
            "azureBlobStorage('a', 'b', 'c')",
            "hdfs('hdfs://127.0.0.1:1/a', CSV)",
            "iceberg('http://127.0.0.1:1/a')",
            "deltaLake('http://127.0.0.1:1/a')",
            "mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
            "postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
            "mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e String')",
            "redis('127.0.0.1:1', 'a', 'a String')",
            "sqlite('/etc/a.db', 'b')",
            "odbc('DSN=a', 'b', 'c')",
            "jdbc('a', 'b', 'c')",
            "executable('sh', CSV, 'a String')",
            "fileCluster('c', '/etc/passwd', CSV)",
            "input('a String')",
            "format(CSV, '1,2')",
            "merge('system', '.*')",
            "dictionary('a')",
            "view(SELECT 1)",
            "viewExplain('EXPLAIN', '', (SELECT 1))",
            "viewIfPermitted(SELECT 1 ELSE null('a Int'))",
            "loop(system.one)",
            "mergeTreeIndex('a', 'b')",
            "generateRandom('a String')",
            "null('a String')",
            "python('a')",
            "Python(a)",
        ],
    )
    def test_are_refused(self, ask: Ask, call: str) -> None:
        for text in (
            "SELECT * FROM {}",
            "SELECT 1 FROM orders AS o JOIN {} AS t ON 1",
            "WITH x AS (SELECT * FROM {}) SELECT 1",
            "SELECT 1 IN (SELECT * FROM {})",
        ):
            with pytest.raises(SqlRefusedError, match=r"The table function \w+ is refused"):
                ask(text.replace("{}", call))


class TestFunctions:
    @pytest.mark.parametrize(
        "call",
        [
            "getSetting('readonly')",
            "getServerSetting('max_connections')",
            "getMacro('a')",
            "dictGet('a', 'b', 1)",
            "dictGetOrDefault('a', 'b', 1, 2)",
            "dictHas('a', 1)",
            "joinGet('system.x', 'a', 1)",
            "hasColumnInTable('system', 'processes', 'user')",
            "sleep(3)",
            "sleepEachRow(1)",
            "hostName()",
            "currentUser()",
            "queryID()",
            "serverUUID()",
            "filesystemAvailable()",
            "addressToSymbol(1)",
            "showCertificate()",
            "logTrace('a')",
            "catboostEvaluate('a', 1)",
            "somebodysOwn(1)",
            "formatRow('CSV', 1)",
            "fileIf('/etc/hostname', 1)",
            "sumIfFile(1)",
        ],
    )
    def test_are_refused(self, ask: Ask, call: str) -> None:
        with pytest.raises(SqlRefusedError, match=rf"The function {call.partition('(')[0]} is refused"):
            ask(f"SELECT {call}")


class TestTables:
    @pytest.mark.parametrize(
        "table",
        [
            "system.processes",
            "system.`processes`",
            '"system"."processes"',
            "system . processes",
            "system /* x */ . processes",
            "system.query_log",
            "system.server_settings",
            "system.disks",
            "system.users",
            "system.named_collections",
            "system.dictionaries",
            "system.environment",
            "system.macros",
            "system.parts",
            "system.merge_tree_settings",
            "system.errors",
            "system.stack_trace",
            "system.filesystem_cache",
            "default.anything",
            "nowhere.anything",
        ],
    )
    def test_outside_the_list_are_refused(self, ask: Ask, table: str) -> None:
        for text in (
            "SELECT * FROM {}",
            "SELECT 1 FROM system.one, {}",
            "SELECT 1 FROM orders AS o LEFT JOIN {} AS p ON 1",
            "WITH x AS (SELECT * FROM {}) SELECT 1",
            "SELECT (SELECT count() FROM {})",
        ):
            with pytest.raises(SqlRefusedError, match=r"The table \w+\.\w+ is refused"):
                ask(text.replace("{}", table))

    @pytest.mark.parametrize("text", ["SELECT 1 IN system.processes", "SELECT 1 IN (system.processes)"])
    def test_as_a_set(self, ask: Ask, text: str) -> None:
        with pytest.raises(SqlRefusedError, match=r"system\.processes is refused"):
            ask(text)

    @pytest.mark.parametrize(
        ("text", "params"),
        [
            ("SELECT * FROM {d:Identifier}.{t:Identifier}", {"d": "system", "t": "processes"}),
            ("SELECT * FROM {d:Identifier}.processes", {"d": "system"}),
            ("SELECT * FROM system.{t:Identifier}", {"t": "processes"}),
            ("SELECT 1 IN {d:Identifier}.{t:Identifier}", {"d": "system", "t": "processes"}),
        ],
    )
    def test_named_by_parameters(self, ask: Ask, text: str, params: Mapping[str, str]) -> None:
        with pytest.raises(SqlError) as refused:
            ask(text, params)

        assert refused.value.code in (497, 62)

    def test_a_name_with_a_dot_in_it_is_no_other_database(self, ask: Ask) -> None:
        with pytest.raises(SqlError, match=r"system\.processes"):
            ask("SELECT * FROM {t:Identifier}", {"t": "system.processes"})


class TestParameters:
    """A value is a value, whatever it says."""

    @pytest.mark.parametrize(
        "value",
        ["'", "''", "') OR 1 = 1 --", "x FORMAT Null", "file('/etc/hostname')", "{a:String}", "\\\\'", "%s"],
    )
    def test_stay_values(self, ask: Ask, value: str) -> None:
        assert ask("SELECT {x:String}", {"x": value}, "TSVRaw") == value.replace("\\\\", "\\") + "\n"

    def test_that_the_statement_does_not_name_are_left_out(self, ask: Ask) -> None:
        assert ask("SELECT '%s', '%(x)s', 5 % 3", {"x": "1"}) == "%s\t%(x)s\t2\n"

    def test_in_a_literal_are_text(self, ask: Ask) -> None:
        assert ask("SELECT '{x:String}'", {"x": "value"}) == "{x:String}\n"


class TestSettings:
    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1 SETTINGS readonly = 0",
            "SELECT 1 SETTINGS max_threads = 1",
            "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
            "SELECT (SELECT 1 SETTINGS readonly = 0)",
            "WITH x AS (SELECT 1 SETTINGS readonly = 0) SELECT * FROM x",
            "SELECT 1 UNION ALL SELECT 2 SETTINGS readonly = 0",
            "(SELECT 1) UNION ALL (SELECT 2 SETTINGS readonly = 0)",
            "SELECT 1 IN (SELECT 1 SETTINGS readonly = 0)",
            "DESCRIBE (SELECT 1 SETTINGS readonly = 0)",
            "DESCRIBE TABLE orders SETTINGS describe_include_subcolumns = 1",
            "SET readonly = 0",
            "SET max_threads = 1",
        ],
    )
    def test_in_a_statement_are_refused(self, ask: Ask, text: str) -> None:
        with pytest.raises(SqlRefusedError):
            ask(text)

    def test_after_the_format_are_refused(self, ask: Ask) -> None:
        with pytest.raises(SqlError) as refused:
            ask("SELECT 1 FORMAT Null SETTINGS readonly = 0")

        assert refused.value.code in (62, 497)

    def test_words_that_look_like_them_are_not(self, ask: Ask) -> None:
        assert ask("SELECT 'x\nSet', 'SETTINGS a = 1' AS settings") == "x\\nSet\tSETTINGS a = 1\n"


class TestSeveralStatements:
    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE orders",
            "SELECT 1;\n\nSELECT 2;",
            "SELECT 1 /* ; */ ; SELECT 2",
            "SHOW TABLES; SHOW DATABASES",
            "SELECT 1) UNION ALL (SELECT 2",
            "SELECT 1) AS x; DROP TABLE orders; SELECT * FROM (SELECT 1",
            "SELECT 1 FORMAT CSV; SELECT 2",
            "",
            ";",
            "-- nothing",
        ],
    )
    def test_and_none_are_refused(self, ask: Ask, text: str) -> None:
        with pytest.raises(SqlRequestError) as refused:
            ask(text)

        assert refused.value.code == 62

    def test_a_semicolon_at_the_end_is_fine(self, ask: Ask) -> None:
        assert ask("SELECT 1;") == "1\n"
        assert ask("SELECT ';'; -- one") == ";\n"


class TestOtherStatements:
    @pytest.mark.parametrize(
        "text",
        [
            "INSERT INTO orders SELECT * FROM orders",
            "INSERT INTO orders VALUES (1)",
            "CREATE TABLE x (a Int) ENGINE = Memory",
            "CREATE TEMPORARY TABLE x (a Int)",
            "CREATE FUNCTION f AS x -> x",
            "CREATE VIEW v AS SELECT 1",
            "CREATE NAMED COLLECTION c AS a = 1",
            "CREATE USER u",
            "ALTER TABLE orders DELETE WHERE 1",
            "ALTER TABLE orders UPDATE id = 1 WHERE 1",
            "DELETE FROM orders WHERE 1",
            "UPDATE orders SET id = 1 WHERE 1",
            "TRUNCATE TABLE orders",
            "DROP TABLE orders",
            "DROP DATABASE lowtide_shop",
            "DETACH TABLE orders",
            "ATTACH TABLE orders",
            "RENAME TABLE orders TO x",
            "EXCHANGE TABLES orders AND daily",
            "OPTIMIZE TABLE orders FINAL",
            "UNDROP TABLE orders",
            "KILL QUERY WHERE 1",
            "KILL MUTATION WHERE 1",
            "SYSTEM SHUTDOWN",
            "SYSTEM RELOAD CONFIG",
            "SYSTEM FLUSH LOGS",
            "USE system",
            "GRANT ALL ON *.* TO default",
            "BACKUP DATABASE default TO Disk('a', 'b')",
            "RESTORE DATABASE default FROM Disk('a', 'b')",
            "CHECK TABLE orders",
            "WATCH orders",
            "BEGIN TRANSACTION",
            "EXPLAIN SELECT file('/etc/hostname')",
            "EXPLAIN PIPELINE SELECT 1",
            "SELECT * FROM (EXPLAIN SELECT 1)",
            "SHOW PROCESSLIST",
            "SHOW GRANTS",
            "SHOW USERS",
            "SHOW SETTINGS LIKE '%'",
            "SHOW CREATE USER default",
            "SHOW CREATE TABLE system.processes",
            "SHOW TABLES FROM default",
            "SHOW DICTIONARIES",
            "SHOW CLUSTERS",
            "DESCRIBE TABLE system.processes",
            "EXISTS TABLE system.processes",
            "EXISTS DICTIONARY x",
            "EXECUTE AS u SELECT 1",
        ],
    )
    def test_are_refused_and_change_nothing(
        self, ask: Ask, read_state: Callable[[], object], text: str
    ) -> None:
        before = read_state()

        with pytest.raises(SqlError):
            ask(text)

        assert read_state() == before

    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1 INTO OUTFILE '{}'",
            "SELECT 1 INTO OUTFILE '{}' FORMAT CSV",
            "SELECT 1 INTO OUTFILE '{}' TRUNCATE COMPRESSION 'none' FORMAT CSV",
            "SELECT 1 into /* */ outfile '{}'",
            "SELECT 1 INTO OUTFILE '{}' AND STDOUT",
            "SELECT 1 UNION ALL SELECT 2 INTO OUTFILE '{}'",
            "SELECT * FROM (SELECT 1 INTO OUTFILE '{}')",
            "(SELECT 1 INTO OUTFILE '{}')",
            "DESCRIBE TABLE orders INTO OUTFILE '{}'",
            "SHOW TABLES INTO OUTFILE '{}'",
            "INSERT INTO FUNCTION file('{}', CSV) SELECT 1",
        ],
    )
    def test_nothing_is_written(self, ask: Ask, tmp_path: Path, text: str) -> None:
        path = tmp_path / "out"

        with pytest.raises((SqlRefusedError, SqlRequestError)):
            ask(text.replace("{}", str(path)))

        assert not path.exists()

    def test_the_words_in_a_literal_are_fine(self, ask: Ask) -> None:
        assert ask("SELECT ' INTO OUTFILE ''x'''") == " INTO OUTFILE \\'x\\'\n"


class TestNamesThatImitateTheExplanation:
    """The guard reads names from text in which they are not quoted."""

    @pytest.mark.parametrize(
        "alias",
        [
            "x\n  Function abs",
            "x) \nTableExpression (children 1)\n",
            "function_name: abs",
            "x, function_name: abs",
            "x\nLiteral 1 (alias",
            "Function",
            "(alias y)",
        ],
    )
    def test_do_not_hide_a_function(self, ask: Ask, secret: Path, alias: str) -> None:
        for text in (
            "SELECT 1 AS `{alias}`, file('{path}')",
            "SELECT file('{path}') AS `{alias}`",
            "SELECT '{alias}', file('{path}')",
            "SELECT * APPLY file FROM (SELECT '{path}' AS `{alias}`)",
        ):
            # It may also be refused for the function that the alias seems to name.
            with pytest.raises(SqlRefusedError, match=r"The (table )?function (file|abs\)) is refused"):
                ask(text.replace("{alias}", alias).replace("{path}", str(secret)))

    @pytest.mark.parametrize("alias", ["x\n Identifier y", "a.b", "identifier: y", "x (alias z)"])
    def test_do_not_hide_a_table(self, ask: Ask, alias: str) -> None:
        with pytest.raises(SqlRefusedError, match=r"system\.processes"):
            ask("SELECT 1 AS `{}` FROM system.processes AS `{}`".replace("{}", alias))


def test_a_refusal_says_why_and_names_no_path(ask: Ask) -> None:
    with pytest.raises(SqlRefusedError) as refused:
        ask("SELECT url('http://example.com')")

    assert refused.value.code == 497
    assert re.fullmatch(
        r"Code: 497\. DB::Exception: .* is refused: it is not on the list of functions that are allowed "
        r"\(ACCESS_DENIED\)\n",
        refused.value.body(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO payloads SELECT 1, '{}'",
        "CREATE TABLE x (a Int) ENGINE = Memory",
        "DROP TABLE orders",
        "SET readonly = 0",
        "SET max_memory_usage = 0",
    ],
)
def test_a_handle_is_read_only_by_itself(handle: Session, text: str) -> None:
    """The last line, should the guard have a hole: nothing can be written and no setting changed."""
    with pytest.raises(StoreError):
        handle.execute(text)
