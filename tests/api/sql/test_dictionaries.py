"""Functions on columns that keep their values in a dictionary: the list of those that cannot fail, held to
the engine beside nasty values of another tenant, and how the query tree is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

import pytest

from api.settings import SqlSettings
from api.sql.dictionaries import Explained, check_dictionaries
from api.sql.errors import SqlRefusedError
from api.sql.lists import (
    HIGHER_ORDER,
    Total,
    allowed_functions,
    is_aggregate_function,
    total_functions,
)
from api.sql.pool import limits
from api.sql.tenants import confinement
from api.sql.tree import read_tree
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreError

SYNTAX: Final = {"exists", "grouping", "untuple"}
"""Names that the parser gives to parts of the language."""
OWN: Final = {"number": "1", "day": "2020-01-01", "code": "YWJj"}
NASTY: Final = (
    "kraken", "!!!", '{"kraken', "\\xff\\xfe", "\\xc3", "12x", "(", "[", "9" * 30, "9999-99-99 99:99:99",
    "-1", "0",
    "%zz", "\\\\", "1e999", "\\'", "(kraken" * 50, '{"x":{"x":[1,"y"', "a" * 2000,
)  # fmt: skip
"""Values of the other tenant, as they stand between quotes."""
TEMPLATES: Final = {
    "text": (
        "{f}(number)", "{f}(number, 'x')", "{f}('x', number)", "{f}(number, 'x', 'y', 'z')",
        "{f}(length(number))", "{f}(length(number), 3)", "{f}(-3, length(number) - 4)",
        "{f}(number = 'kraken')", "{f}('xyz', length(number))", "{f}('xyz', 1, length(number))",
        "{f}(number, '.', 1)", "{f}(number = 'x', number, 'y')",
        "{f}(number, ['x'], ['y'], 'z')",
    ),
    "decimals": tuple(
        template.replace("{D}", "toDecimal32('1', 8)").replace("{K}", "4000000000 * (number = 'kraken')")
        for template in ("{f}({D}, {K})", "{f}({K}, {D})")
    ),
    "conversions": ("{f}(number)", "{f}(day)", "{f}(length(number))", "{f}(day, 'UTC')"),
    "containers": (
        "{f}(number)", "{f}(number, 1)", "{f}((number, 1), 1)", "{f}(tags)", "{f}(tags, 'x')",
        "{f}(tags, tags)", "{f}(tags, 1, 1)", "{f}(x -> x != 'y', tags)", "{f}(attributes)",
        "{f}(attributes, 'x')", "{f}(attributes, attributes)", "{f}((k, v) -> (k, v), attributes)",
        "{f}((k, v) -> k != 'x', attributes)",
    ),
    "first": ("{f}(number)", "{f}(number, 'x')", "{f}(number, 'x', 'y')", "{f}(number, ['x', 'y'])"),
    "second": ("{f}('x', number)", "{f}('x', number, 2)"),
}  # fmt: skip
"""Calls with the place of the column. Those that make no sense fail for everybody."""
PLACES: Final = {0: "first", 1: "second"}
KINDS: Final = {
    "containers": re.compile(r"array|map|tuple|has|unnest|indexOf|countEqual|notHas"),
    "conversions": re.compile(r"to(?:U?Int|Float|Date)"),
}


@pytest.fixture(scope="module")
def handle(engine: Engine) -> Iterator[Session]:
    """A confined handle on a database of its own: `alone` has our rows, `beside` the other tenant's as well,
    in the same part.
    """
    opened = Engine.open(replace(engine.target, database="lowtide_dictionaries"))
    columns = ", ".join(f"{name} LowCardinality(String)" for name in OWN)
    with opened.session() as own:
        for table in ("alone", "beside"):
            own.execute(
                f"CREATE TABLE {table} (tenant LowCardinality(String), {columns}, "
                "tags Array(LowCardinality(String)), attributes Map(LowCardinality(String), String)) "
                "ENGINE = MergeTree ORDER BY tenant"
            )
        mine = ", ".join(f"'{value}'" for value in OWN.values())
        rows = [f"('mine', {mine}, ['1', 'x'], map('1', 'x'))"] * 2
        others = [
            f"('other', '{value}', '{value}', '{value}', ['{value}'], map('{value}', '{value}'))"
            for value in NASTY
        ]
        for table, values in (("alone", rows), ("beside", rows + others)):
            own.execute(f"INSERT INTO {table} VALUES {', '.join(values)}")  # noqa: S608 - values of ours
        settings = confinement(own, "mine")
        with opened.session({**settings, **limits(SqlSettings())}) as confined:
            yield confined
        for table in ("alone", "beside"):
            own.execute(f"DROP TABLE {table}")
    opened.close()


def fails(handle: Session, table: str, *calls: str) -> bool:
    try:
        handle.raw(f"SELECT ignore({', '.join(calls)}) FROM {table}", fmt="TSV")  # noqa: S608 - of our own making
    except StoreError:
        return True
    return False


def tells(handle: Session, calls: list[str]) -> list[str] | None:
    """Those of the calls that fail beside the other's values only; None if all fail without them as well."""
    sound = [call for call in calls if not fails(handle, "alone", call)]
    if not sound:
        return None
    return (
        [call for call in sound if fails(handle, "beside", call)] if fails(handle, "beside", *sound) else []
    )


def calls_of(name: str, place: str) -> list[str]:
    return list(
        dict.fromkeys(
            template.format(f=name, c=c) for template in TEMPLATES[place] for c in ("number", "day")
        )
    )


def templates(name: str, total: Total) -> tuple[str, ...]:
    if total.place is not None:
        return TEMPLATES[PLACES[total.place]]
    kind = next((kind for kind, names in KINDS.items() if names.match(name)), "text")
    return TEMPLATES[kind] + (() if total.compares or kind == "conversions" else TEMPLATES["decimals"])


def originals(handle: Session) -> dict[str, str]:
    """The name of each function as the engine writes it, without aliases, by its lower case."""
    rows = handle.rows("SELECT name FROM system.functions WHERE alias_to = ''")
    return {name.lower(): name for (name,) in rows}


class TestTheList:
    def test_the_other_tenant_is_there(self, handle: Session) -> None:
        """And is not seen: without this the tests below would not say much."""
        assert handle.value("SELECT count() FROM beside") == 2
        assert tells(handle, ["base64Decode(code)"]) == ["base64Decode(code)"]
        assert tells(handle, ["factorial(length(number))"])
        assert tells(handle, ["match('x', number)"])
        assert tells(handle, [template.format(f="equals") for template in TEMPLATES["decimals"]])
        assert tells(handle, ["CASE toDecimal32('1', 8) WHEN 4000000000 * (number = 'kraken') THEN 1 END"])
        assert tells(handle, ["toFixedString(number, 3)"])

    @pytest.mark.timeout(300)  # hundreds of questions, each several requests where the store is a server
    def test_no_function_on_it_fails_because_of_what_others_have(self, handle: Session) -> None:
        names, total = originals(handle), total_functions()
        listed = {names[lower]: total[lower] for lower in total if lower in names}
        assert len(listed) > 150

        outcomes = {
            name: tells(handle, [template.format(f=name) for template in templates(name, at)])
            for name, at in listed.items()
        }

        assert {name: found for name, found in outcomes.items() if found} == {}
        uncalled = " ".join(name for name, found in outcomes.items() if found is None)
        assert not uncalled, f"no template calls {uncalled}"

    def test_each_is_a_function_and_none_an_aggregate_one(self) -> None:
        allowed = {name.lower() for name in allowed_functions()}

        assert total_functions().keys() <= allowed
        assert not [name for name in total_functions() if is_aggregate_function(name)]

    def test_an_alias_is_on_it_if_its_function_is(self, handle: Session) -> None:
        rows = handle.rows("SELECT name, alias_to FROM system.functions WHERE alias_to != ''")
        total = total_functions()

        for name, original in rows:
            assert total.get(name.lower()) == total.get(original.lower()), (name, original)

    def test_case_makes_no_difference_between_functions(self, handle: Session) -> None:
        """The lists are asked in lower case."""
        rows = handle.rows(
            "SELECT lower(name) FROM system.functions GROUP BY 1 "
            "HAVING uniq(if(alias_to = '', name, alias_to)) > 1"
        )

        assert rows == []

    def test_what_is_taken_for_an_aggregate_function_is_one(self, handle: Session) -> None:
        ordinary = handle.rows("SELECT name FROM system.functions WHERE NOT is_aggregate")

        assert [name for (name,) in ordinary if is_aggregate_function(name)] == []
        assert is_aggregate_function("sumIf")
        assert is_aggregate_function("quantilesTDigestMergeState")


class TestTheEngine:
    """What the rule relies on; if one of these fails, the engine has changed."""

    def test_aggregates_give_nothing_in_a_dictionary(self, handle: Session) -> None:
        for call in (
            "any(code)", "max(code)", "argMax(code, number)", "groupArray(code)", "topK(2)(code)",
            "minMap(attributes)", "any((code, 1))", "anyIf(code, number = '1')", "any(tags)",
            "finalizeAggregation(anyState(code))",
        ):  # fmt: skip
            kind = handle.value(f"SELECT toTypeName({call}) FROM beside")  # noqa: S608 - of our own making
            assert "LowCardinality" not in kind, call

    def test_elements_of_arrays_and_maps_are_in_none(self, handle: Session) -> None:
        for call in ("tags[1]", "attributes['x']", "map('x', code)['x']", "[code][1]", "[[code]][1]"):
            kind = handle.value(f"SELECT toTypeName({call}) FROM beside")  # noqa: S608 - of our own making
            assert "LowCardinality" not in kind, call

    @pytest.mark.parametrize(
        "kind", ["String", "Nullable(String)", "UInt64", "Date", "UUID", "FixedString(3)"]
    )
    def test_a_cast_looks_at_the_rows_only(self, handle: Session, kind: str) -> None:
        calls = [
            f"CAST({value}, '{wrapped.format(kind)}')"
            for value, wrapped in (
                ("number", "{}"), ("day", "{}"), ("tags", "Array({})"), ("attributes", "Map({}, String)"),
                ("(number, 1)", "Tuple({}, UInt8)"), ("nullIf(number, 'kraken')", "{}"),
            )
        ]  # fmt: skip

        assert not tells(handle, calls)

    def test_what_is_cast_is_taken_out(self, handle: Session) -> None:
        decoded = ("base64Decode(CAST(code, 'String'))", "base64Decode(CAST(code, 'Nullable(String)'))")

        assert tells(handle, list(decoded)) == []
        assert tells(handle, ["base64Decode(CAST(code, 'LowCardinality(Nullable(String))'))"])

    def test_sets_are_made_row_by_row(self, handle: Session) -> None:
        calls = [
            f"length({c}) IN (SELECT {x})"
            for c in OWN
            for x in ("toDecimal32('1', 8)", "toDate('2020-01-01')", "'x'")
        ]

        assert not tells(handle, calls)


class TestTheTree:
    @staticmethod
    def printed(handle: Session, sql: str) -> str:
        return handle.raw(f"EXPLAIN QUERY TREE run_passes = 0 {sql}", fmt="TSVRaw").decode()

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * EXCEPT (a, b) REPLACE (1 AS EXPRESSION) APPLY (x -> x), COLUMNS('a'), t.* FROM t FINAL",
            "SELECT any(a) RESPECT NULLS, lag(a) OVER w FROM t SAMPLE 0.5 WINDOW w AS (ORDER BY a)",
            "SELECT a AS `x y`, 'it''s\n', -1, NULL, [1, 'x'] FROM t ORDER BY a WITH FILL INTERPOLATE (b)",
            "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 2) SELECT DISTINCT 1 FROM r GROUP BY CUBE(a)",
            "SELECT 1 UNION ALL (SELECT 2 INTERSECT SELECT 3) EXCEPT SELECT 4",
            "SELECT 1 FROM t LEFT ARRAY JOIN a AS b ASOF JOIN u ON a.b = u.b AND a.c > u.c CROSS JOIN v(3)",
            "SELECT decrypt('aes-128-ecb', a, 'k') FROM t GROUP BY GROUPING SETS ((a), (b, c)) LIMIT 2 BY a",
        ],
    )
    def test_whatever_the_engine_prints_is_read(self, handle: Session, sql: str) -> None:
        nodes = read_tree(self.printed(handle, sql))

        assert nodes[0].kind in {"QUERY", "UNION"}

    def test_parts_and_names(self, handle: Session) -> None:
        nodes = read_tree(self.printed(handle, "SELECT lower(t.a) AS x FROM u AS t WHERE b = 'c'"))

        (call,) = nodes[0].part("PROJECTION")
        assert (call.kind, call.alias, call.name) == ("FUNCTION", "x", "lower")
        assert [argument.name for argument in call.part("ARGUMENTS")] == ["t.a"]
        (table,) = nodes[0].part("JOIN TREE")
        assert (table.alias, table.name, table.stands_for_rows) == ("t", "u", True)
        (condition,) = nodes[0].part("WHERE")
        assert [argument.name for argument in condition.part("ARGUMENTS")] == ["b", "'c'"]

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1 AS `x, constant_value: 2`",
            "SELECT a AS `x, identifier: b` FROM t",
            "SELECT `a, alias: b` FROM t",
            "SELECT lower(a) AS `x, function_name: upper` FROM t",
            "SELECT lower(a) AS `x\n  LIST id: 9, nodes: 0` FROM t",
            "SELECT COLUMNS('x\ny') FROM t",
            "SELECT COLUMNS('x\n    CONSTANT id: 3, constant_value: 1, constant_value_type: UInt8') FROM t",
            "SELECT COLUMNS('x\n  EXPRESSION'), 1 FROM t",
            "SELECT * REPLACE (1 AS `a: b`) FROM t",
        ],
    )
    def test_what_may_be_read_in_two_ways_is_not_read(self, handle: Session, sql: str) -> None:
        with pytest.raises(SqlRefusedError, match="with certainty"):
            read_tree(self.printed(handle, sql))


class TestNames:
    """What a name may stand for; more of it in tenant_attacks.sql."""

    @staticmethod
    def check(handle: Session, expression: str) -> None:
        sql = f"SELECT {expression}{'' if ' FROM' in expression else ' FROM t'}"  # noqa: S608 - not run
        syntax, tree = (
            handle.raw(f"EXPLAIN {what} {sql}", fmt="TSVRaw").decode()
            for what in ("AST", "QUERY TREE run_passes = 0")
        )
        columns = {"shared": (True, False), "plain": (False, False), "price": (False, True)}
        check_dictionaries(Explained(sql, syntax, tree), columns)

    @pytest.mark.parametrize(
        "expression",
        [
            "hex(plain)", "hex(t.plain)", "hex(lowtide.t.plain)", "hex(max(shared))", "hex(shared::String)",
            "hex(any(shared) OVER (ORDER BY plain))", "lower(shared)", "shared = 'x'", "price > 1",
            "length(shared) > 3", "hex(tags[1])", "hex(x) FROM (SELECT hex(plain) AS x)",
            "shared IN (SELECT price)", "shared = today()",
            "count(*)", "arrayMap((p, s) -> (hex(p), lower(s)), plain, shared)", "hex(number)",
            "length(shared) = CAST(price, 'Float64')", "plain AS a, hex(a)",
            "CAST(price, 'Decimal(9, 2)') > 1",
            "hex(a) FROM (SELECT plain AS a) AS b WHERE (a = '') OR (1 = 1)",
            "1 FROM u, t ORDER BY a WITH FILL INTERPOLATE (b AS lower(b)) LIMIT 1 UNION ALL SELECT 2",
        ],
    )  # fmt: skip
    def test_answered(self, handle: Session, expression: str) -> None:
        self.check(handle, expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "hex(shared)", "hex(t.shared)", "HEX(shared)", "hex(unknown)", "hex(shared.size)",
            "hex(plain.shared)",
            "shared AS plain, hex(plain)", "hex(lower(shared))", "hex(*)", "hex((plain, shared).2)",
            "hex((SELECT shared))", "length(shared) = price", "length(shared) = toDecimal32(1, 2)",
            "arrayMap((p, s) -> hex(s), plain, shared)", "arrayFold((acc, x) -> hex(acc), plain, shared)",
            "arrayMap(hex, shared)", "(x -> x) AS lower",
            "hex(CAST(shared, 'LowCardinality(String)'))", "hex(CAST(shared, plain))", "like(plain, shared)",
            "splitByChar(shared, plain)", "1 FROM u AS v(a) CROSS JOIN t UNION ALL SELECT 1",
            "1 FROM numbers(3) AS n(a) CROSS JOIN t UNION ALL SELECT 1",
            "1 FROM (SELECT 1) AS `v w`(a, b) CROSS JOIN t UNION ALL SELECT 1",
        ],
    )  # fmt: skip
    def test_refused(self, handle: Session, expression: str) -> None:
        with pytest.raises(SqlRefusedError, match="for tokens of one tenant"):
            self.check(handle, expression)

    def test_the_message_says_what_to_write(self, handle: Session) -> None:
        with pytest.raises(SqlRefusedError) as caught:
            self.check(handle, "hex(shared)")

        assert "hex is refused on shared for tokens of one tenant" in str(caught.value)
        assert "CAST(shared, 'String')" in str(caught.value)

    def test_a_long_chain_of_names_ends(self, handle: Session) -> None:
        chained = ", ".join(chain(["plain AS a0"], (f"lower(a{n}) AS a{n + 1}" for n in range(200))))
        self.check(handle, chained)

        backwards = ", ".join(chain((f"hex(a{n + 1}) AS a{n}" for n in range(200)), ["shared AS a200"]))
        with pytest.raises(SqlRefusedError, match="for tokens of one tenant"):
            self.check(handle, backwards)

    def test_functions_that_take_lambdas_take_no_names(self) -> None:
        """Else `arrayMap(hex, shared)` would be looked at like `arrayMap(x -> x, shared)`."""
        assert {"arrayMap", "arrayFilter", "mapApply"} <= HIGHER_ORDER
