"""The tables say what the protocol's descriptors say."""

from __future__ import annotations

from typing import Any

from collector.check import walk
from collector.check.tables import RECORDS, TABLES, build
from ingest.signals import Signal


def _known(number: int) -> set[int]:
    entries = TABLES.fields[number * walk.FIELDS : (number + 1) * walk.FIELDS]
    return {field for field, entry in enumerate(entries) if entry != walk.UNKNOWN}


def test_every_field_of_every_reachable_message_is_in_them(otlp: Any) -> None:
    seen: dict[int, str] = {}

    def visit(number: int, message: Any) -> None:
        if number in seen:
            assert seen[number] == message.full_name
            return
        seen[number] = message.full_name
        assert _known(number) == {field.number for field in message.fields}, message.full_name
        for field in message.fields:
            entry = int(TABLES.fields[number * walk.FIELDS + field.number])
            is_message = entry >> walk.KIND_SHIFT & 31 == walk.MESSAGE
            assert is_message == (field.message_type is not None)
            if is_message:
                visit(entry >> walk.CHILD_SHIFT & 255, field.message_type)

    for signal in Signal:
        visit(TABLES.roots[signal], otlp.requests[signal].DESCRIPTOR)
    assert set(seen) == set(range(len(TABLES.roles)))


def test_there_is_room_for_messages_and_conflicts() -> None:
    assert len(TABLES.roles) <= 256  # a child takes eight bits
    assert TABLES.fields.min() == walk.UNKNOWN
    assert len(TABLES.fields) == len(TABLES.roles) * walk.FIELDS


def test_every_kind_of_record_has_its_role() -> None:
    assert {name.rpartition(".")[2] for name in RECORDS} == {
        "Span",
        "LogRecord",
        "NumberDataPoint",
        "HistogramDataPoint",
        "ExponentialHistogramDataPoint",
        "SummaryDataPoint",
    }
    roles = [role for role in TABLES.roles if walk.SPAN <= role <= walk.LOG]
    assert len(roles) == len(RECORDS), "a record's name is not that of a message any more"


def test_they_are_the_same_each_time() -> None:
    again = build()
    assert (again.fields == TABLES.fields).all()
    assert (again.roles == TABLES.roles).all()
    assert again.roots == TABLES.roots
