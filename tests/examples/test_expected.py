"""How values become text in the store, and how a comparison with it tells what is wrong."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import expected

EXAMPLES = Path(__file__).parents[2] / "examples"
DOUBLES = {
    1.5: "1.5",
    3.0: "3",
    -4.0: "-4",
    0.0: "0",
    0.1: "0.1",
    1 / 3: "0.3333333333333333",
    1e15: "1000000000000000",
    1e17: "100000000000000000",
    1e20: "100000000000000000000",
    123456789012345680000.0: "123456789012345680000",
    1e21: "1e21",
    1.25e22: "1.25e22",
    1e-5: "0.00001",
    1e-6: "0.000001",
    1e-7: "1e-7",
    -1.25e-9: "-1.25e-9",
    5e-324: "5e-324",
    1.7976931348623157e308: "1.7976931348623157e308",
    math.inf: "inf",
    -math.inf: "-inf",
}


def array(*values: Any) -> dict[str, Any]:
    return {"arrayValue": {"values": list(values)}}


def kvlist(**pairs: Any) -> dict[str, Any]:
    return {"kvlistValue": {"values": [{"key": key, "value": value} for key, value in pairs.items()]}}


@pytest.mark.parametrize(("value", "shown"), DOUBLES.items(), ids=str)
def test_a_double_is_the_shortest_decimal(value: float, shown: str) -> None:
    assert expected.double_text(value) == shown
    assert expected.text({"doubleValue": value}) == shown


def test_negative_zero_keeps_its_sign() -> None:
    assert expected.double_text(-0.0) == "-0"


def test_not_a_number() -> None:
    assert expected.double_text(math.nan) == "nan"
    assert expected.text({"doubleValue": "NaN"}) == "nan"
    assert expected.text({"doubleValue": "-Infinity"}) == "-inf"
    assert expected.text(array({"doubleValue": "NaN"})) == '["NaN"]'


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back(value: float) -> None:
    shown = expected.double_text(value)
    assert float(shown) == value
    assert math.copysign(1, float(shown)) == math.copysign(1, value)
    assert "+" not in shown


def test_doubles_are_laid_out_as_the_engine_does() -> None:
    if importlib.util.find_spec("chdb") is None:
        pytest.skip("chdb is not installed: the extra `embedded`")
    values = [*DOUBLES, *(float(f"{mantissa}e{power}") for mantissa in (1, 7.25) for power in range(-30, 31))]
    listed = ",".join(repr(value) for value in values)
    # In a process of its own: the engine allows one database path a process.
    program = f"import chdb; print(chdb.query(\"SELECT toString(arrayJoin([{listed}]))\", 'TSV'), end='')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected.double_text(value) for value in values]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"stringValue": 'as "it" is\n/ü'}, 'as "it" is\n/ü'),
        ({"stringValue": ""}, ""),
        ({"boolValue": True}, "true"),
        ({"boolValue": False}, "false"),
        ({"intValue": "-9223372036854775808"}, "-9223372036854775808"),
        ({"bytesValue": "AAH+/w=="}, "AAH+/w=="),
        ({}, ""),
        (array(), "[]"),
        (kvlist(), "{}"),
        (array({"stringValue": "a"}, {"stringValue": "b"}), '["a","b"]'),
        (array({"intValue": "1"}, {"intValue": "2"}), "[1,2]"),
        (array({"doubleValue": 1.5}, {"doubleValue": 2}, {"doubleValue": 1e21}), "[1.5,2,1e21]"),
        (array({"stringValue": "a/b"}, {"stringValue": 'ü "x"\n'}), '["a/b","ü \\"x\\"\\n"]'),
        (array({"boolValue": True}, {}, {"bytesValue": "AA=="}), '[true,null,"AA=="]'),
        (kvlist(k={"intValue": "1"}), '{"k":1}'),
        (kvlist(a=array(kvlist(b={}))), '{"a":[{"b":null}]}'),
    ],
    ids=str,
)
def test_a_value_as_text(value: dict[str, Any], shown: str) -> None:
    assert expected.text(value) == shown


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(ValueError, match="not an OTLP value"):
        expected.text({"dateValue": "today"})


SCOPE = {"name": "shop", "version": "1", "schema_url": "", "attributes": {}}
SPAN = {
    "trace_id": "ab" * 16,
    "span_id": "cd" * 8,
    "parent_span_id": "",
    "trace_state": "a=b",
    "name": "GET /",
    "kind": "server",
    "start_ns": "1700000000000000001",
    "end_ns": "1700000000000000043",
    "attributes": {"n": {"intValue": "7"}},
    "status_code": "error",
    "status_message": "no",
    "events": [{"name": "e", "time_ns": "1700000000000000002", "attributes": {}}],
    "links": [],
    "scope": SCOPE,
}
LINE = {
    "trace_id": "",
    "span_id": "",
    "trace_flags": 257,
    "severity_number": 9,
    "severity_text": "INFO",
    "event_name": "",
    "body": array({"intValue": "1"}),
    "attributes": {},
    "time_ns": "0",
    "observed_ns": "1700000000000000003",
    "scope": SCOPE,
}
POINT = {
    "metric": "m",
    "description": "",
    "unit": "s",
    "kind": "sum",
    "temporality": "cumulative",
    "monotonic": True,
    "attributes": {},
    "start_ns": "1",
    "time_ns": "2",
    "value": {"intValue": "3"},
    "exemplars": [],
    "scope": SCOPE,
}
MANIFEST = {
    "resource": {"attributes": {"service.name": {"stringValue": "quote"}}, "schema_url": "s"},
    "spans": [SPAN],
    "points": [POINT],
    "logs": [LINE],
}


def test_rows_of_each_signal() -> None:
    rows = expected.expected_rows(MANIFEST)

    (span,) = rows["otel_traces"]
    assert span["Timestamp"] == 1700000000000000001
    assert span["Duration"] == 42
    assert (span["SpanKind"], span["StatusCode"], span["ServiceName"]) == ("Server", "Error", "quote")
    assert span["SpanAttributes"] == {"n": "7"}
    assert span["Events.Timestamp"] == [1700000000000000002]
    (line,) = rows["otel_logs"]
    assert (line["Timestamp"], line["Body"], line["TraceFlags"]) == (1700000000000000003, "[1]", 1)
    (point,) = rows["otel_metrics_sum"]
    assert (point["Value"], point["AggregationTemporality"], point["IsMonotonic"]) == (3.0, 2, True)
    assert rows["otel_metrics_gauge"] == []


def test_differences_tell_what_is_missing_doubled_and_changed() -> None:
    (span,) = expected.expected_rows(MANIFEST)["otel_traces"]

    assert expected.differences("otel_traces", [span], [dict(span)]) == []
    assert "sent 1 times, stored 0 times" in expected.differences("otel_traces", [span], [])[0]
    assert "sent 1 times, stored 2 times" in expected.differences("otel_traces", [span], [span, span])[0]
    assert "sent 0 times, stored 1 times" in expected.differences("otel_traces", [], [span])[0]
    (changed,) = expected.differences("otel_traces", [span], [{**span, "SpanAttributes": {"n": "8"}}])
    assert changed.endswith("SpanAttributes was {'n': '7'}, is {'n': '8'}")


def test_the_python_example_names_the_versions_it_is_tested_with() -> None:
    wanted = (EXAMPLES / "python" / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in wanted if not line.startswith("#"))
    assert pins
    assert {name: importlib.metadata.version(name) for name in pins} == pins


def test_the_node_lock_file_names_no_registry() -> None:
    packages = json.loads((EXAMPLES / "node" / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)
