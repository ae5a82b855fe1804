"""What Lowtide takes for granted about a ClickHouse server. Each test is one such assumption.

They run against the stand-in, which has to keep to them; where a real server is at hand, the same requests
show whether it does. Statuses and codes are those of ClickHouse 26.9.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import lz4.frame  # type: ignore[import-untyped]  # ships no types
import pytest
from backports import zstd

from ingest.signals import Signal
from ingest.store.otlp import _PINNED
from support.store_server_process import PASSWORD, USER, StoreProcess

ANY_BYTES = bytes(range(256)) + b"\nFORMAT x\n';\\"
Ask = Callable[..., httpx2.Response]


@pytest.fixture(scope="module")
def http(stand_in: StoreProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stand_in.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def database(http: httpx2.Client) -> Iterator[str]:
    name = f"contract_{uuid4().hex}"
    user = (USER, PASSWORD.encode())
    assert http.post("/", content=f"CREATE DATABASE {name}", auth=_basic(*user)).status_code == 200
    yield name
    http.post("/", content=f"DROP DATABASE {name} SYNC", auth=_basic(*user))


def _basic(user: str, password: bytes) -> httpx2.BasicAuth:
    return httpx2.BasicAuth(user.encode(), password)


@pytest.fixture
def ask(http: httpx2.Client, database: str) -> Ask:
    """`ask(statement, body, **parameters)`: the statement is the body, or in the URL if there is a body."""

    def post(
        statement: str, body: bytes = b"", headers: Mapping[str, str] | None = None, **url: str
    ) -> httpx2.Response:
        params = {"database": database} | url
        if body:
            params["query"] = statement
        return http.post(
            "/", params=params, content=body or statement.encode(), headers=headers,
            auth=_basic(USER, PASSWORD.encode()),
        )  # fmt: skip

    return post


@pytest.fixture
def table(ask: Ask) -> Iterator[None]:
    """`t`, of one text, that remembers inserts."""
    made = ask(
        "CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    assert made.status_code == 200, made.text
    yield
    ask("DROP TABLE t SYNC")


def refused(answer: httpx2.Response, status: int, code: int) -> str:
    """What it says, if it was refused like that."""
    assert (answer.status_code, answer.headers.get("X-ClickHouse-Exception-Code")) == (status, str(code))
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    return answer.text


# --- who asks ---


def test_whoever_asks_for_a_ping_gets_it(http: httpx2.Client) -> None:
    for path in ("/ping", "/"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (200, "Ok.\n")


@pytest.mark.parametrize("user", [(USER, b"wrong"), ("nobody", PASSWORD.encode()), (USER, b"")])
def test_a_wrong_password_and_an_unknown_user_are_told_alike(
    http: httpx2.Client, user: tuple[str, bytes]
) -> None:
    text = refused(http.post("/", content="SELECT 1", auth=_basic(*user)), 403, 516)
    assert f"{user[0]}: Authentication failed: password is incorrect, or there is no user" in text
    assert PASSWORD not in text


def test_without_a_user_it_is_default(http: httpx2.Client) -> None:
    assert "default: Authentication failed" in refused(http.post("/", content="SELECT 1"), 403, 516)


def test_user_and_password_come_in_headers_too_but_not_twice(http: httpx2.Client) -> None:
    own = {"X-ClickHouse-User": USER.encode(), "X-ClickHouse-Key": PASSWORD.encode()}
    assert http.post("/", content="SELECT 1", headers=own).text == "1\n"
    both = http.post("/", content="SELECT 1", headers=own, auth=_basic(USER, PASSWORD.encode()))
    refused(both, 403, 516)


# --- the statement ---


def test_the_statement_is_the_url_and_then_the_body(ask: Ask) -> None:
    assert ask("SELECT 1").text == "1\n"
    assert ask("SELECT", b"2").text == "2\n", "a line feed is between them"


def test_the_database_is_a_parameter(ask: Ask, database: str) -> None:
    assert ask("SELECT currentDatabase()").text == f"{database}\n"
    assert ask("SELECT currentDatabase()", database="default").text == "default\n"


def test_a_database_that_is_missing_is_said(ask: Ask) -> None:
    refused(ask("SELECT 1", database="no_such_database"), 404, 81)


def test_one_statement_at_a_time(ask: Ask) -> None:
    assert ask("SELECT ';';").text == ";\n"
    assert "Multi-statements are not allowed" in refused(ask("SELECT 1; SELECT 2"), 400, 62)


def test_get_only_reads(http: httpx2.Client, ask: Ask, database: str, table: None) -> None:
    user = _basic(USER, PASSWORD.encode())

    def get(statement: str) -> httpx2.Response:
        return http.get("/", params={"query": statement, "database": database}, auth=user)

    assert get("SELECT 1").text == "1\n"
    refused(get("INSERT INTO t VALUES ('x')"), 500, 164)


@pytest.mark.parametrize("value", ["O'Hara", "\\", "line\nbreak\ttab", "ß {x:String} %20 &a=b"])
def test_parameters_are_escaped_as_in_a_tab_separated_file(ask: Ask, value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    assert json.loads(ask("SELECT {v:String} AS v FORMAT JSONEachRow", param_v=escaped).text) == {"v": value}


def test_long_parameters_come_as_a_form(http: httpx2.Client) -> None:
    long = "x" * 100_000
    answer = http.post(
        "/", auth=_basic(USER, PASSWORD.encode()),
        files={"query": (None, "SELECT length({v:String})"), "param_v": (None, long)},
    )  # fmt: skip
    assert answer.text == "100000\n"


# --- settings ---


def test_settings_in_the_url_hold_for_one_statement(ask: Ask) -> None:
    read = "SELECT getSetting('max_block_size')"
    usual = ask(read).text
    assert ask(read, max_block_size="123").text == "123\n"
    assert ask(read).text == usual != "123\n"


@pytest.mark.parametrize("statement", ["SET max_block_size = 123", "USE default"])
def test_nothing_is_left_of_a_statement(ask: Ask, statement: str) -> None:
    read = "SELECT getSetting('max_block_size'), currentDatabase()"
    before = ask(read).text
    assert ask(statement).status_code == 200
    assert ask(read).text == before


def test_a_setting_that_is_unknown_is_an_error(ask: Ask) -> None:
    assert "(UNKNOWN_SETTING)" in refused(ask("SELECT 1", no_such_setting="1"), 404, 115)


def test_every_setting_of_an_insert_is_known(ask: Ask) -> None:
    names = {
        *_PINNED, "format_schema", "format_schema_source", "format_schema_message_name",
        "insert_deduplication_token",
    }  # fmt: skip
    found = ask("SELECT name FROM system.settings").text.split()
    assert names <= set(found)


def test_read_only_and_limits_may_come_together(ask: Ask, table: None) -> None:
    """They are checked against the user's profile, not against each other."""
    both = {"readonly": "1", "max_result_rows": "5"}
    assert ask("SELECT getSetting('max_result_rows')", **both).text == "5\n"
    refused(ask("INSERT INTO t VALUES ('x')", **both), 500, 164)


# --- inserts ---


def test_data_follows_the_statement_in_the_body(ask: Ask, table: None) -> None:
    answer = ask("INSERT INTO t FORMAT RowBinary\n\x05hello")
    assert (answer.status_code, answer.text) == (200, "")
    assert ask("SELECT a FROM t").text == "hello\n"


def test_data_may_be_any_bytes(ask: Ask, table: None) -> None:
    body = bytes((0x8D, 0x02)) + ANY_BYTES
    assert len(ANY_BYTES) == 0x10D
    assert ask("INSERT INTO t (a) FORMAT RowBinary", body).status_code == 200
    assert ask("SELECT hex(a) FROM t").text.strip() == ANY_BYTES.hex().upper()


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstd.compress),
        ("lz4", lz4.frame.compress),
    ],
)
def test_data_may_be_compressed(ask: Ask, table: None, name: str, compress: Callable[[bytes], bytes]) -> None:
    body = compress(b"\x05hello" * 1000)
    answer = ask("INSERT INTO t FORMAT RowBinary", body, headers={"Content-Encoding": name})
    assert answer.status_code == 200, answer.text
    assert ask("SELECT count() FROM t").text == "1000\n"


def test_a_token_makes_an_insert_happen_once(ask: Ask, table: None) -> None:
    ask(
        "CREATE TABLE lengths (n UInt64) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    ask("CREATE MATERIALIZED VIEW t_lengths TO lengths AS SELECT length(a) AS n FROM t")
    settings = {name: str(value) for name, value in _PINNED.items()}

    for token in ("one", "one", "two"):
        done = ask(
            "INSERT INTO t FORMAT RowBinary", b"\x01x\x02yy", insert_deduplication_token=token, **settings
        )
        assert done.status_code == 200, done.text

    assert ask("SELECT count(), (SELECT count() FROM lengths) FROM t").text == "4\t4\n"
    for statement in ("DROP VIEW t_lengths SYNC", "DROP TABLE lengths SYNC"):
        assert ask(statement).status_code == 200


def test_an_insert_that_a_view_fails_is_refused_and_made_whole_by_the_same_again(
    ask: Ask, table: None
) -> None:
    ask(
        "CREATE TABLE lengths (n UInt64) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    ask("CREATE MATERIALIZED VIEW t_lengths TO lengths AS SELECT length(a) AS n FROM t")
    settings = {name: str(value) for name, value in _PINNED.items()} | {"insert_deduplication_token": "one"}
    insert = partial(ask, "INSERT INTO t FORMAT RowBinary", b"\x01x\x02yy", **settings)

    ask("ALTER TABLE t_lengths MODIFY QUERY SELECT length(a) AS n FROM t WHERE throwIf(rand() >= 0) = 0")
    for _ in range(2):
        refused = insert()
        assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (500, "395")
    ask("ALTER TABLE t_lengths MODIFY QUERY SELECT length(a) AS n FROM t")
    assert insert().status_code == 200

    assert ask("SELECT count(), (SELECT count() FROM lengths) FROM t").text == "2\t2\n"
    for statement in ("DROP VIEW t_lengths SYNC", "DROP TABLE lengths SYNC"):
        assert ask(statement).status_code == 200


def test_a_schema_may_be_text(ask: Ask, table: None) -> None:
    settings = {
        "format_schema": 'syntax = "proto3"; message Row { string a = 1; }',
        "format_schema_source": "string",
        "format_schema_message_name": "Row",
    }
    assert ask("INSERT INTO t FORMAT Protobuf", b"\x04\x0a\x02hi", **settings).status_code == 200
    assert ask("SELECT a FROM t").text == "hi\n"


@pytest.mark.parametrize("signal", list(Signal))
def test_our_schemas_fit_into_an_address(signal: Signal) -> None:
    """A server takes fields of 128 KiB and addresses of 1 MiB; proxies are content with much less."""
    schema = files("ingest.store").joinpath("proto", f"{signal}.proto").read_text(encoding="utf-8")
    assert len(quote(schema, safe="")) < 8 * 1024


def test_data_that_cannot_be_read_leaves_nothing(ask: Ask, table: None) -> None:
    refused(ask("INSERT INTO t FORMAT RowBinary", b"\x05hello\x7fcut"), 500, 33)
    assert ask("SELECT count() FROM t").text == "0\n"


def test_many_at_once(ask: Ask, table: None) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(
            lambda n: ask("INSERT INTO t FORMAT RowBinary", b"\x01" + bytes([65 + n])), range(24)
        )
        assert {answer.status_code for answer in answers} == {200}
    assert ask("SELECT count(), uniqExact(a) FROM t").text == "24\t24\n"


# --- answers ---


def test_an_error_has_its_name_and_the_version(ask: Ask) -> None:
    text = refused(ask("SELECT nothing_like_that"), 404, 47)
    version = ask("SELECT version()").text.strip()
    assert text.endswith(f" (UNKNOWN_IDENTIFIER) (version {version} (official build))\n")


def test_who_asked_for_progress_learns_of_an_error_from_the_header_alone(ask: Ask) -> None:
    """The status has gone out by then."""
    late = "SELECT sleepEachRow(0.05), throwIf(number = 1) FROM numbers(2) SETTINGS max_block_size = 1"
    refused(ask(late), 500, 395)
    asked = {"send_progress_in_http_headers": "1", "http_headers_progress_interval_ms": "1"}
    answer = ask(late, **asked)
    assert "X-ClickHouse-Progress" in answer.headers
    refused(answer, 200, 395)


def test_the_format_is_named_where_there_are_rows(ask: Ask, table: None) -> None:
    assert ask("SELECT 1").headers["X-ClickHouse-Format"] == "TabSeparated"
    assert ask("SELECT 1 FORMAT CSV").headers["X-ClickHouse-Format"] == "CSV"
    assert ask("SELECT 1", default_format="JSON").json()["data"] == [{"1": 1}]
    assert ask("SELECT a FROM t").headers["X-ClickHouse-Format"] == "TabSeparated", "even if none"
    for statement in ("CREATE DATABASE IF NOT EXISTS default", "INSERT INTO t VALUES ('x')"):
        assert "X-ClickHouse-Format" not in ask(statement).headers


def test_native_begins_with_block_info_for_those_who_name_a_revision(ask: Ask) -> None:
    read = "SELECT 1::UInt8 AS check FORMAT Native"
    plain = b"\x01\x01\x05check\x05UInt8\x01"
    info = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    assert ask(read).content == plain
    assert ask(read, client_protocol_version="54405").content == info + plain
    many = ask("SELECT number FROM numbers(3) SETTINGS max_block_size = 1 FORMAT Native",
               client_protocol_version="54405")  # fmt: skip
    assert many.content.count(info) == 3


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4", "deflate"])
def test_answers_are_compressed_for_those_who_ask_twice(ask: Ask, encoding: str) -> None:
    accept = {"Accept-Encoding": encoding}
    assert "Content-Encoding" not in ask("SELECT 1", headers=accept).headers
    asked = ask("SELECT 1", headers={"Accept-Encoding": "identity"}, enable_http_compression="1")
    assert "Content-Encoding" not in asked.headers
    answer = ask("SELECT 1", headers=accept, enable_http_compression="1")
    assert answer.headers["Content-Encoding"] == encoding
    assert encoding not in ("gzip", "deflate") or answer.text == "1\n", "those the client here can read"


def test_headers_say_what_was_done_and_where(ask: Ask, table: None) -> None:
    answer: Any = ask("INSERT INTO t VALUES ('x'), ('y')", query_id="my-own")
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert (summary["written_rows"], answer.headers["X-ClickHouse-Query-Id"]) == ("2", "my-own")
    assert answer.headers["X-ClickHouse-Timezone"] == ask("SELECT timezone()").text.strip()
