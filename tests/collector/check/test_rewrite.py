"""Values the database cannot hold, as JSON."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.check.rewrite import clear_indexes, json_of, make_holdable
from ingest.signals import Signal


def test_json_of_every_kind(otlp: Any) -> None:
    written = {name: json_of(value) for name, value in otlp.values().items()}
    members = [
        '"grün €"', '""', "true", "false", "-9223372036854775808", "0", "1.5", '"AP8="', '""', "null",
    ]  # fmt: skip
    scalars = [name for name in written if "list" not in name and "map" not in name]
    flat_list = f"[{','.join(members)}]"
    flat_map = "{" + ",".join(f'"{k}":{m}' for k, m in zip(scalars, members, strict=True)) + "}"
    assert written == dict(zip(scalars, members, strict=True)) | {
        "list": flat_list,
        "map": flat_map,
        "empty list": "[]",
        "empty map": "{}",
        "lists in list": f"[{flat_list},1]",
        "map in list": f"[{flat_map}]",
        "list in map": '{"list":' + flat_list + "}",
        "empty list in list": "[[]]",
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [
        # As ClickHouse writes a Float64.
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (-1.0, "-1"), (0.1, "0.1"), (100.5, "100.5"),
        (1e20, "100000000000000000000"), (1e21, "1e21"), (1e22, "1e22"), (-2.5e25, "-2.5e25"),
        (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (123456789012345680000.0, "123456789012345680000"), (0.30000000000000004, "0.30000000000000004"),
        (math.nan, '"NaN"'), (math.inf, '"Infinity"'), (-math.inf, '"-Infinity"'),
    ],
)  # fmt: skip
def test_numbers(number: float, text: str) -> None:
    assert json_of(AnyValue(double_value=number)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives(number: float) -> None:
    assert float(json.loads(json_of(AnyValue(double_value=number)))) == number


def test_keys_stay_in_order_and_twice_if_they_came_twice() -> None:
    value = AnyValue()
    for key, number in (("b", 1), ("a", 2), ("b", 3), ('"\n', 4)):
        value.kvlist_value.values.add(key=key).value.int_value = number
    assert json_of(value) == '{"b":1,"a":2,"b":3,"\\"\\n":4}'


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(-1e15, 1e15)  # beyond that, JSON read as an integer has digits the double never had
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def _value_of(content: Any) -> AnyValue:
    match content:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=content)
        case int():
            return AnyValue(int_value=content)
        case float():
            return AnyValue(double_value=content)
        case str():
            return AnyValue(string_value=content)
        case bytes():
            return AnyValue(bytes_value=content)
    value = AnyValue()
    if isinstance(content, list):
        value.array_value.SetInParent()
        value.array_value.values.extend(_value_of(member) for member in content)
    else:
        value.kvlist_value.SetInParent()
        for key, member in content.items():
            value.kvlist_value.values.add(key=key).value.CopyFrom(_value_of(member))
    return value


def _in_json(content: Any) -> Any:
    match content:
        case bytes():
            return base64.b64encode(content).decode()
        case list():
            return [_in_json(member) for member in content]
        case dict():
            return {key: _in_json(member) for key, member in content.items()}
        case _:
            return content


@given(NESTED)
def test_any_value_is_its_json(content: Any) -> None:
    assert json.loads(json_of(_value_of(content))) == _in_json(content)


def test_only_what_cannot_be_held_is_rewritten_wherever_it_is(otlp: Any, unheld: Any) -> None:
    for place, build in otlp.places().items():
        for name, value in otlp.values().items():
            _, request = build(value)
            expected = build(AnyValue(string_value=json_of(value)) if name in unheld else value)[1]
            make_holdable(request, in_records=True)
            assert request == expected, (place, name)


def test_records_are_left_alone_unless_asked_for(otlp: Any) -> None:
    empty = otlp.values()["empty list"]
    for place, build in otlp.places().items():
        _, request = build(empty)
        untouched = build(empty)[1]
        make_holdable(request, in_records=False)
        is_above = place.endswith(("resource", "scope", "metadata"))
        assert (request != untouched) == is_above, place


def test_references_to_a_string_table_are_cleared_and_counted(otlp: Any) -> None:
    request = otlp.request(Signal.LOGS)
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.body.string_value_strindex = 0
    record.attributes.add(key="a", key_strindex=3).value.int_value = 1
    inner = record.attributes.add(key="b").value.kvlist_value.values.add(key="c", key_strindex=4)
    inner.value.array_value.values.add().string_value_strindex = 5
    assert clear_indexes(request) == 4
    assert b"_strindex" not in str(request).encode()
    assert record.body.WhichOneof("value") is None
    assert [attribute.key for attribute in record.attributes] == ["a", "b"]
    assert clear_indexes(request) == 0
