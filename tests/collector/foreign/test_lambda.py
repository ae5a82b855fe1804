"""Events of Lambda's Telemetry API: what becomes of recorded ones, and what is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector.errors import BadRequestError
from collector.foreign.lambda_telemetry import RESOURCE_HEADER, translate
from collector.foreign.translated import Translated
from collector.refusals import TooLargeError
from ingest.signals import Signal

EVENTS = (Path(__file__).parent / "data" / "lambda_telemetry.json").read_bytes()
FUNCTION = {RESOURCE_HEADER: "service.name=checkout,faas.name=checkout,faas.version=7,cloud.region=eu%2D1"}
ONE: dict[str, Any] = {"time": "2022-10-12T00:00:15.064Z", "type": "function", "record": "hello"}
PATH = "/lambda/telemetry"
JSON = "application/json"


def translated(
    body: bytes | Any, headers: Mapping[str, str] | None = None, memory_bytes: int = 1 << 24
) -> Translated:
    """Of the function FUNCTION, unless `headers` say another, or none."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return translate(
        data, FUNCTION if headers is None else headers, limit_bytes=1 << 20, memory_bytes=memory_bytes
    )


def values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def records_of(
    body: bytes | Any, headers: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """The resource and the records."""
    (of_resource,) = ExportLogsServiceRequest.FromString(translated(body, headers).body).resource_logs
    (of_scope,) = of_resource.scope_logs
    return values(of_resource.resource.attributes), list(of_scope.log_records)


def test_what_lambda_wrote() -> None:
    resource, records = records_of(EVENTS, {})
    assert resource == {
        "cloud.provider": "aws", "cloud.platform": "aws_lambda", "faas.name": "myFunction",
        "service.name": "myFunction", "faas.version": "$LATEST", "faas.max_memory": 256,
        "faas.instance": "82561ce0-53dd-47d1-90e0-c8f5e063e62e",
    }  # fmt: skip
    assert [record.event_name for record in records] == [
        "platform.initStart", "platform.initReport", "platform.runtimeDone", "platform.report", "function",
    ]  # fmt: skip
    _, began, done, report, line = records
    assert values(began.attributes) == {
        "aws.lambda.initialization_type": "on-demand", "aws.lambda.phase": "init",
        "aws.lambda.status": "success", "aws.lambda.duration_ms": 173.778,
    }  # fmt: skip
    assert values(done.attributes)["aws.lambda.produced_bytes"] == 50
    assert values(report.attributes) == {
        "faas.invocation_id": "d661f7cf-9208-46b9-85b0-213b04a91065", "faas.coldstart": True,
        "aws.lambda.status": "success", "aws.lambda.duration_ms": 1.317, "aws.lambda.billed_duration_ms": 2,
        "aws.lambda.init_duration_ms": 10, "aws.lambda.memory_size_bytes": 1 << 30,
        "aws.lambda.max_memory_used_bytes": 68 << 20,
    }  # fmt: skip
    assert report.time_unix_nano == 1_707_468_164_080_000_000
    assert json.loads(report.body.string_value) == json.loads(EVENTS)[3]["record"]
    assert (line.body.string_value, values(line.attributes)) == ("[INFO] Hello world, I am a function!", {})


def test_the_forwarder_knows_which_function_it_is() -> None:
    resource, _ = records_of(EVENTS, FUNCTION)
    assert (resource["service.name"], resource["faas.version"], resource["cloud.region"]) == (
        "checkout",
        "7",
        "eu-1",
    )
    assert resource["faas.instance"], "what it does not say is that of the events"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "the body: expected a list, got an object"),
        ([7], "[0]: expected an object, got the number 7"),
        ([ONE | {"type": ""}], "[0].type: expected the type of an event"),
        ([ONE, ONE | {"time": "yesterday"}], "[1].time: expected a time such as"),
        ([ONE | {"time": None}], "[0].time: expected a time such as"),
        ([ONE | {"time": "9999-12-31T23:59:59-23:59"}], ""),
        (b"[" * 5000, "the body is not an array of events"),
    ],
)
def test_what_is_wrong_is_named(body: Any, told: str) -> None:
    if not told:
        assert translated(body).body, "the check refuses what is not near the present"
        return
    with pytest.raises(BadRequestError) as error:
        translated(body)
    assert told in str(error.value)


@pytest.mark.parametrize("header", ["a", "a=1,b", "=1", ",".join(["a=1"] * 200)])
def test_a_header_that_is_no_list_of_pairs_is_told(header: str) -> None:
    with pytest.raises(BadRequestError, match="otel-resource-attributes is not a list of key=value, at part"):
        translated([ONE], {RESOURCE_HEADER: header})


@pytest.mark.parametrize("header", ["", "cloud.region=eu-1", "faas.name=,service.name="])
def test_events_of_which_nobody_says_the_function_are_refused(header: str) -> None:
    with pytest.raises(BadRequestError, match=r"no event, and no header .* says which function"):
        translated([ONE], {RESOURCE_HEADER: header})


@pytest.mark.parametrize("name", ["faas.name", "service.name"])
def test_one_name_is_enough(name: str) -> None:
    resource, _ = records_of([ONE], {RESOURCE_HEADER: f"{name}=checkout"})
    assert resource["service.name"] == "checkout"


def test_no_events_need_no_name() -> None:
    assert translated([], {}).body == b""


def test_too_many_values_are_refused_before_they_are_read() -> None:
    with pytest.raises(TooLargeError, match="too many values"):
        translated(b"[" + b"{}," * 100_000 + b"{}]")


@pytest.mark.parametrize(
    "metrics", [None, 7, [], {"durationMs": "1", "memorySizeMB": -1}, {"durationMs": True}]
)
def test_what_a_report_lacks_is_left_out(metrics: Any) -> None:
    _, (record,) = records_of([ONE | {"type": "platform.report", "record": {"metrics": metrics}}])
    assert values(record.attributes).keys() <= {"faas.coldstart"}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 63) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ODD = st.dictionaries(st.sampled_from(["time", "type", "record"]), ANY_JSON, max_size=2).map(
    lambda odd: ONE | odd
)
METRIC = st.dictionaries(st.sampled_from(["durationMs", "memorySizeMB", "initDurationMs"]), ANY_JSON)
REPORTS = METRIC.map(lambda metrics: ONE | {"type": "platform.report", "record": {"metrics": metrics}})


@given(st.lists(ODD | REPORTS, max_size=3) | ANY_JSON)
def test_any_json_is_translated_or_refused(body: Any) -> None:
    with contextlib.suppress(BadRequestError):
        result = translated(body)
        assert result == translated(body)
        ExportLogsServiceRequest.FromString(result.body)


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        translated(body)


async def test_events_are_stored_once_for_each_function(collector: Any) -> None:
    for name in ("a", "a", "b"):
        reply = await collector.post(PATH, EVENTS, JSON, otel_resource_attributes=f"faas.name={name}")
        assert (reply.status_code, reply.content) == (202, b"")
    assert collector.stored == [(Signal.LOGS, "default", 5), (Signal.LOGS, "default", 5)]


async def test_a_sender_is_told_what_to_do_about_a_missing_name(collector: Any) -> None:
    reply = await collector.post(PATH, json.dumps([ONE]).encode(), JSON)
    assert (reply.status_code, collector.stored) == (400, [])
    assert b"faas.name=" in reply.content
    assert collector.count("requests_total", signal="logs", transport="http", code="400") == 1


async def test_events_need_a_token_for_logs(collector: Any) -> None:
    for token, status in (("Basic x", 401), ("Bearer traces", 403), ("Bearer shop", 202)):
        assert (await collector.post(PATH, EVENTS, JSON, authorization=token)).status_code == status
    assert collector.stored == [(Signal.LOGS, "shop", 5)]
