"""Sessions on the engine, and which of its errors may pass by themselves."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreRefusedError, StoreUnavailableError
from ingest.store.target import Server


def test_the_shapes_of_an_answer(session: Session) -> None:
    sql = "SELECT number, toString(number) AS text FROM numbers({n:UInt64})"
    assert session.frame(sql, {"n": 2}).to_dicts() == [
        {"number": 0, "text": "0"},
        {"number": 1, "text": "1"},
    ]
    assert session.rows(sql, {"n": 1}) == [(0, "0")]
    assert session.value(sql, {"n": 1}) == 0
    assert session.raw(sql, {"n": 2}, fmt="CSV") == b'0,"0"\n1,"1"\n'
    assert session.arrow(sql, {"n": 2}).column_names == ["number", "text"]


def test_no_row_is_no_value(session: Session) -> None:
    with pytest.raises(LookupError):
        session.value("SELECT 1 WHERE 0")


def test_an_empty_answer_still_has_its_columns(session: Session) -> None:
    frame = session.frame("SELECT 1::UInt8 AS one, 'x' AS name WHERE 0")
    assert (frame.columns, frame.height) == (["one", "name"], 0)


@pytest.mark.parametrize(
    "value", ["O'Hara", "\\", "line\nbreak", "'; DROP TABLE otel_traces; --", "ß", "%s {x}"]
)
def test_values_are_bound_not_written(session: Session, value: str) -> None:
    assert session.value("SELECT {v:String}", {"v": value}) == value


def test_settings_of_a_session_stay_on_it(migrated: Engine) -> None:
    read = "SELECT getSetting('max_block_size')"
    with migrated.session({"max_block_size": 123}) as narrow, migrated.session() as other:
        assert narrow.value(read) == 123
        assert other.value(read) != 123


def test_what_is_wrong_with_a_statement_is_said_without_the_engines_trailer(session: Session) -> None:
    with pytest.raises(StoreRefusedError) as caught:
        session.rows("SELECT no_such_column")
    assert caught.value.code == 47
    assert "no_such_column" in str(caught.value)
    assert "version" not in str(caught.value)


def test_running_out_of_memory_may_pass(migrated: Engine) -> None:
    with (
        migrated.session({"max_memory_usage": 2_000_000}) as small,
        pytest.raises(StoreUnavailableError) as e,
    ):
        small.rows("SELECT groupArray(toString(number)) FROM numbers(10000000)")
    assert e.value.code == 241


def test_a_server_that_is_not_there_may_come_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = Server("127.0.0.1", free.getsockname()[1], "ann", "s3cret", "lowtide", secure=False)
        with pytest.raises(StoreUnavailableError) as caught:
            Engine.open(target)
    assert str(caught.value) == "the store does not answer: [Errno 111] Connection refused"


def test_a_name_that_is_none_is_refused(engine: Engine) -> None:
    with pytest.raises(StoreRefusedError, match="no name for a database"):
        Engine.open(replace(engine.target, database="a; DROP DATABASE lowtide"))


def test_closing_ends_the_sessions(engine: Engine, database: str) -> None:
    other = Engine.open(replace(engine.target, database=database))
    left = other.session()
    other.close()
    with pytest.raises(StoreUnavailableError):
        other.session()
    with pytest.raises(StoreUnavailableError, match="closed"):
        left.value("SELECT 1")


def test_two_sessions_at_once(store: Engine) -> None:
    with store.session() as writer, store.session() as reader:
        writer.execute("CREATE TABLE t (a UInt8) ENGINE = Memory")
        writer.execute("INSERT INTO t VALUES (1)")
        assert reader.rows("SELECT a FROM t") == [(1,)]


@pytest.mark.embedded("about files of the engine in its process")
def test_without_room_for_what_is_inserted_an_insert_may_be_repeated(
    migrated: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.memfd_create")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    # A session of its own: one that has inserted before has its file.
    with migrated.session() as fresh, pytest.raises(StoreUnavailableError, match="cannot be written"):
        fresh.insert_raw("otlp_logs", [], fmt="Protobuf", settings={})
