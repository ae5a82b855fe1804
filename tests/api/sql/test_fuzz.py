"""Whatever is asked, it is answered or refused: nothing outside is read, nothing is written, nothing ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.sql.errors import SqlError
from api.sql.service import SqlService

CONTENT = "7f3a9c-outside-the-store"
BASES = (
    "SELECT id, shop FROM orders WHERE id IN (1, 2) ORDER BY id LIMIT 3 FORMAT CSV",
    "WITH x AS (SELECT * FROM orders) SELECT count() FROM x AS y JOIN daily AS d ON y.id = 1",
    "SELECT arrayMap(x -> upper(x), ['{path}']) AS f, * APPLY toString FROM (SELECT '{path}' AS x)",
    "SELECT sum(id) OVER (PARTITION BY shop) FROM orders UNION ALL SELECT 1",
    "SHOW TABLES FROM lowtide_shop LIKE '%'",
    "DESCRIBE TABLE (SELECT 1 AS a)",
    "SELECT file('{path}')",
    "SELECT * FROM file('{path}', 'LineAsString')",
    "SELECT 1 INTO OUTFILE '{out}' FORMAT CSV",
    "INSERT INTO orders SELECT * FROM orders",
    "DROP TABLE orders",
)
PIECES = (
    "file",
    "`file`",
    "FILE",
    "file('{path}')",
    "('{path}')",
    "'{path}'",
    "APPLY file",
    "APPLY(file)",
    "x -> file(x)",
    "FROM file('{path}', 'LineAsString')",
    "arrayMap(file, ['{path}'])",
    "INTO OUTFILE '{out}'",
    "SETTINGS readonly = 0",
    "FORMAT Null",
    ";",
    "DROP TABLE orders",
    "(",
    ")",
    "()",
    "*",
    "COLUMNS('.*')",
    "EXCEPT(x)",
    "REPLACE(file(x) AS x)",
    "SELECT",
    "FROM",
    "WITH",
    "AS",
    "UNION ALL",
    "JOIN",
    "WHERE 1",
    "system.processes",
    "system",
    ".",
    ",",
    "'",
    '"',
    "`",
    "\\",
    "\n",
    "--",
    "/*",
    "*/",
    "#",
    "{x:String}",
    "{x:Identifier}",
    "$$",
    "$a$",
    "::String",
    "\x00",
    "\ufeff",
    "é",
    "🦀",
    "EXPLAIN",
    "DESCRIBE",
    "SHOW TABLES",
    "EXISTS",
    "url('http://127.0.0.1:1/')",
    "INSERT INTO orders",
    "1",
    "NULL",
    "[",
    "]",
)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A statement of ours with pieces put in, taken out, moved or doubled."""
    tokens = draw(st.sampled_from(BASES)).split(" ")
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(tokens)))
        match draw(st.sampled_from(("put", "put", "put", "take", "double", "move"))):
            case "put":
                tokens.insert(at, draw(st.sampled_from(PIECES)))
            case "take":
                del tokens[at : at + 1]
            case "double":
                tokens[at:at] = tokens[at : at + draw(st.integers(1, 4))]
            case _:
                taken = tokens[at : at + 2]
                del tokens[at : at + 2]
                to = draw(st.integers(0, len(tokens)))
                tokens[to:to] = taken
    return draw(st.sampled_from((" ", " ", "\n", "/**/"))).join(tokens)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "in").write_text(CONTENT)
    return folder


def attempt(service: SqlService, outside: Path, text: str, value: str) -> None:
    statement = text.replace("{path}", str(outside / "in")).replace("{out}", str(outside / "out"))
    try:
        found = service.answer(statement, {"x": value}).body
    except SqlError as error:
        found = error.body().encode("utf-8", "replace")
    assert CONTENT.encode() not in found
    assert [path.name for path in outside.iterdir()] == ["in"]


QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class TestNothingGetsOut:
    @settings(QUICK, max_examples=300)
    @given(text=mutations(), value=st.sampled_from(("orders", "system", "file", "'", "\\", "\\N", "x\ty")))
    def test_by_mutated_statements(self, service: SqlService, outside: Path, text: str, value: str) -> None:
        attempt(service, outside, text, value)

    @settings(QUICK, max_examples=100)
    @given(text=st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join), value=st.text(max_size=8))
    def test_by_pieces_in_any_order(self, service: SqlService, outside: Path, text: str, value: str) -> None:
        attempt(service, outside, text, value)

    @settings(QUICK, max_examples=100)
    @given(text=st.text(max_size=60), value=st.text(max_size=20))
    def test_by_any_text(self, service: SqlService, outside: Path, text: str, value: str) -> None:
        attempt(service, outside, text, value)


@pytest.fixture(scope="module", autouse=True)
def unchanged(read_state: Callable[[], object], service: SqlService) -> object:
    """After all of it, the store is what it was and answers."""
    before = read_state()
    yield
    assert read_state() == before
    assert service.answer("SELECT count() FROM orders").body == b"90\n"
