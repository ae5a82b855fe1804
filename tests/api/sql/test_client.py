"""clickhouse-connect's ordinary HTTP client, unchanged but for the path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, ProgrammingError


@pytest.fixture(
    params=[{}, {"compress": False}, {"compress": "zstd"}, {"form_encode_query_params": True}], ids=str
)
def client(request: pytest.FixtureRequest, served: str) -> Iterator[Client]:
    address = urlsplit(served)
    with clickhouse_connect.get_client(
        host=address.hostname, port=address.port, proxy_path="/sql", **request.param
    ) as made:
        yield made


class TestClient:
    def test_connects(self, client: Client) -> None:
        assert client.ping()
        assert client.server_version.startswith("26.")

    def test_rows(self, client: Client) -> None:
        found = client.query("SELECT id, at, shop, price, tags, attributes FROM orders ORDER BY id LIMIT 1")

        assert found.column_names == ("id", "at", "shop", "price", "tags", "attributes")
        identity, at, *rest = found.result_rows[0]
        assert (identity, at.replace(tzinfo=UTC)) == (0, datetime(2026, 11, 2, 8, tzinfo=UTC))
        assert [str(value) for value in rest] == ["north", "0.00", "['t0', 'all']", "{'region': '0'}"]

    def test_many_rows(self, client: Client) -> None:
        found = client.query("SELECT number, toString(number) FROM numbers(5000)")

        assert found.row_count == 5000
        assert (
            found.result_columns[1][-1] == "4999"
            if found.column_oriented
            else found.result_rows[-1] == (4999, "4999")
        )

    def test_arrow(self, client: Client) -> None:
        table = client.query_arrow("SELECT id, shop FROM orders ORDER BY id LIMIT 3", use_strings=True)

        assert table.to_pydict() == {"id": [0, 1, 2], "shop": ["north", "south", "east"]}

    def test_frame(self, client: Client) -> None:
        frame = client.query_df("SELECT shop, sum(price) AS total FROM orders GROUP BY shop ORDER BY shop")

        assert list(frame["shop"]) == ["east", "north", "south"]

    def test_streams(self, client: Client) -> None:
        with client.query_row_block_stream("SELECT number FROM numbers(3000)") as blocks:
            assert sum(len(block) for block in blocks) == 3000

    @pytest.mark.parametrize(
        "text", ["it's", "tab\tline\nback\\slash", "'; DROP TABLE orders; --", "{x:String}", "é🦀", ""]
    )
    def test_values_bound_by_the_server(self, client: Client, text: str) -> None:
        found = client.query(
            "SELECT {s:String}, {n:Int64} + 1, {l:Array(String)}, {d:DateTime('UTC')}, {z:Nullable(String)}",
            parameters={
                "s": text,
                "n": 41,
                "l": [text, "x"],
                "d": datetime(2026, 1, 2, tzinfo=UTC),
                "z": None,
            },
        )

        said, number, texts, at, nothing = found.result_rows[0]
        assert (said, number, texts, nothing) == (text, 42, [text, "x"], None)
        assert at.replace(tzinfo=UTC) == datetime(2026, 1, 2, tzinfo=UTC)

    def test_values_bound_by_the_client(self, client: Client) -> None:
        found = client.query("SELECT %(s)s, %(n)s", parameters={"s": "it's; --", "n": 4})

        assert found.result_rows == [("it's; --", 4)]

    def test_commands(self, client: Client) -> None:
        assert client.command("SELECT count() FROM orders") == 90
        assert client.command("EXISTS orders") == 1
        assert client.query("SHOW TABLES").result_rows == [("daily",), ("orders",), ("payloads",)]
        assert client.query("DESCRIBE TABLE payloads").result_rows[0][:2] == ("id", "UInt64")

    def test_raw(self, client: Client) -> None:
        assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("SELECT file('/etc/hostname')", 497),
            ("DROP TABLE orders", 497),
            ("SELECT nothing", 47),
            ("SELECT (", 62),
        ],
    )
    def test_errors(self, client: Client, text: str, code: int) -> None:
        with pytest.raises(DatabaseError, match=rf"code: {code}") as failed:
            client.query(text)

        assert failed.value.code == code

    def test_inserts_are_refused(self, client: Client) -> None:
        with pytest.raises(DatabaseError):
            client.insert("payloads", [[1]], column_names=["id"])

        assert client.command("SELECT count() FROM payloads") == 2

    def test_settings_are_refused_by_the_client_itself(self, client: Client) -> None:
        """It reads that they cannot be changed and says so."""
        with pytest.raises(ProgrammingError, match="max_threads is readonly"):
            client.query("SELECT 1", settings={"max_threads": 1})
