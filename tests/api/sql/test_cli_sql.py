"""`lowtide sql`: from the running server, or from the store itself."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest.store.engine import Engine
from lowtide.cli.app import run
from lowtide.cli.invocation import Invocation
from lowtide.server_client import ServerClient

Ran = SimpleNamespace
Ask = Callable[..., Ran]


@pytest.fixture(params=["server", "store"])
def sql(
    request: pytest.FixtureRequest,
    served: str,
    shop: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Ask:
    """The command, once with a server to ask and once without."""

    @contextmanager
    def opened(*_: object) -> Iterator[Engine]:
        yield shop

    def server(*_: object) -> ServerClient | None:
        return ServerClient(served) if request.param == "server" else None

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Invocation, "server", server)
    monkeypatch.setattr("lowtide.store_access.open_store", opened)

    def command(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = run(["sql", *arguments])
        out, err = capfdbinary.readouterr()
        return SimpleNamespace(code=code, out=out.decode(), err=err.decode())

    return command


class TestRows:
    def test_as_a_table(self, sql: Ask) -> None:
        ran = sql("SELECT id, shop, price, tags, NULL AS z, id > 1 AS b FROM orders ORDER BY id LIMIT 2")

        assert (ran.code, ran.err) == (0, "")
        header, first, second = ran.out.splitlines()
        assert header.split() == ["id", "shop", "price", "tags", "z", "b"]
        assert first.split() == ["0", "north", "0", '["t0",', '"all"]', "-", "0"]
        assert second.split()[:3] == ["1", "south", "0.25"]

    def test_figures_are_whole(self, sql: Ask) -> None:
        ran = sql("SELECT 18446744073709551615 AS u, 0.000123 AS f, -1234567 AS i")

        assert ran.out.splitlines()[1].split() == ["18446744073709551615", "0.000123", "-1234567"]

    def test_as_json(self, sql: Ask) -> None:
        ran = sql(
            "SELECT toUInt64(18446744073709551615) AS u, price, 0.5 AS f, nan AS n, NULL AS z, tags, "
            "attributes, at FROM orders WHERE id = 1",
            "--output",
            "json",
        )

        assert json.loads(ran.out) == [
            {
                "u": 18446744073709551615, "price": "0.25", "f": 0.5, "n": None, "z": None,
                "tags": ["t1", "all"], "attributes": {"region": "1"}, "at": "2026-11-02 08:10:00.000",
            }
        ]  # fmt: skip

    def test_as_csv(self, sql: Ask) -> None:
        ran = sql("-o", "csv", "SELECT 'a,b' AS x, 1.5 AS y UNION ALL SELECT '=1+1', 2")

        assert ran.out.splitlines()[0] == "x,y"
        assert sorted(ran.out.splitlines()[1:]) == ['"a,b",1.5', "'=1+1,2"]

    def test_none(self, sql: Ask) -> None:
        assert sql("SELECT id FROM orders WHERE 0", "-o", "json").out == "[]\n"
        assert sql("SELECT id FROM orders WHERE 0").out == "id\n"

    def test_from_stdin(self, sql: Ask) -> None:
        assert sql("-", "-o", "csv", stdin="SELECT 'é' AS e\n-- and no more\n").out == "e\né\n"

    def test_with_parameters(self, sql: Ask) -> None:
        ran = sql(
            "SELECT {t:String} AS t, {n:UInt8} AS n", "--param", "t=it's\t\\x=\n'", "-p", "n=7", "-o", "json"
        )

        assert json.loads(ran.out) == [{"t": "it's\t\\x=\n'", "n": 7}]

    def test_in_a_format_of_the_statements_own(self, sql: Ask) -> None:
        assert sql("SELECT 1 AS a, 'x' AS b FORMAT CSVWithNames").out == '"a","b"\n1,"x"\n'
        assert sql("SELECT 'ab' FORMAT RowBinary").out == "\x02ab"

    @pytest.mark.parametrize(
        "text", ["SHOW TABLES", "EXISTS orders", "DESCRIBE orders", "SHOW CREATE TABLE orders"]
    )
    def test_of_other_statements(self, sql: Ask, text: str) -> None:
        ran = sql(text)

        assert ran.code == 0
        assert len(ran.out.splitlines()) >= 2

    def test_control_characters_do_not_reach_the_terminal(self, sql: Ask) -> None:
        assert "\x1b" not in sql("SELECT unhex('1b5b324a') AS x").out


class TestErrors:
    def test_say_what_and_where(self, sql: Ask) -> None:
        ran = sql("SELECT id,\n  prise\nFROM orders")

        assert (ran.code, ran.out) == (1, "")
        assert ran.err == (
            "Error: Unknown expression identifier `prise` at line 2, column 3:\n"
            "      prise\n"
            "      ^\n"
            "  Hint: Maybe 'price'?\n"
        )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("SELECT 1 +", "cannot be parsed at column 11, near its end"),
            ("SELECT file('/etc/hostname')", "The function file is refused: files and disks."),
            ("DROP TABLE orders", "DROP in this form is not answered here"),
            ("SELECT 1; SELECT 2", "There is more than one statement."),
            ("SELECT number FROM numbers(3000000000)", "Limit for rows"),
            ("", "Empty query."),
        ],
    )
    def test_of_any_kind(self, sql: Ask, text: str, said: str) -> None:
        ran = sql(text)

        assert (ran.code, ran.out) == (1, "")
        assert said in ran.err
        assert "Traceback" not in ran.err
        assert "DB::Exception" not in ran.err

    def test_of_usage(self, sql: Ask) -> None:
        assert sql().code == 2
        assert sql("SELECT 1", "--param", "x").code == 2
        assert sql("SELECT 1", "--output", "xml").code == 2


class TestStore:
    def test_there_may_be_none_yet(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        assert run(["sql", "SELECT 1", "--data", str(tmp_path / "none")]) == 1
        assert "There is no data in" in capsys.readouterr().err
