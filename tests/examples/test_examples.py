"""The example programs on the real SDKs: what each says it sent is what arrives on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support import expected, wire

# Building one takes up to half a minute on a machine that has nothing in its package caches.
pytestmark = [pytest.mark.sdk, pytest.mark.timeout(900)]

LANGUAGES = ["python", "node", "java", "go"]
CASES = [
    *[(language, protocol) for language in LANGUAGES for protocol in ("grpc", "http/protobuf")],
    ("node", "http/json"),
]
MEDIA_TYPES = {"http/protobuf": "application/x-protobuf", "http/json": "application/json"}


def variables(sink: Any, protocol: str, compression: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint(protocol),
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
        "OTEL_SERVICE_NAME": "quote-api",
        "OTEL_RESOURCE_ATTRIBUTES": "team=pricing,deployment.environment.name=b%C3%A4ta",
        "EXAMPLE_RUN_ID": "run-1",
    }


def arrived_equals_sent(sink: Any, manifest: dict[str, Any]) -> None:
    assert sink.errors == []
    arrived = wire.arrived(sink.received["traces"], sink.received["metrics"], sink.received["logs"])
    assert arrived["resources"] == [manifest["resource"]]
    for part in ("spans", "points", "logs"):
        assert wire.in_order(arrived[part]) == wire.in_order(manifest[part])


@pytest.mark.parametrize(("language", "protocol"), CASES)
def test_what_it_says_it_sent_is_what_arrives(
    run_example: Any, sink: Any, language: str, protocol: str
) -> None:
    done = run_example(language, variables(sink, protocol, "gzip"))

    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert manifest["run_id"] == "run-1"
    arrived_equals_sent(sink, manifest)
    if protocol != "grpc":
        assert {headers["content-encoding"] for headers in sink.headers} == {"gzip"}
        assert {headers["content-type"] for headers in sink.headers} == {MEDIA_TYPES[protocol]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_sends_every_kind_of_thing(run_example: Any, sink: Any, language: str) -> None:
    done = run_example(language, variables(sink, "http/protobuf", "none"))

    assert done.returncode == 0, done.stderr
    assert {headers.get("content-encoding") for headers in sink.headers} == {None}
    manifest = json.loads(done.stdout)
    arrived_equals_sent(sink, manifest)
    resource = expected.attributes(manifest["resource"]["attributes"])
    assert (
        resource.items()
        >= {
            "service.name": "quote-api",
            "team": "pricing",
            "deployment.environment.name": "bäta",
            "example.run.id": "run-1",
            "example.ints": "[1,2]",
        }.items()
    )
    rich_traces(manifest["spans"])
    rich_points(manifest["points"])
    rich_logs(manifest["logs"])
    everything_can_be_identified(manifest)


def rich_traces(spans: list[dict[str, Any]]) -> None:
    by_name = {span["name"]: span for span in spans}
    assert {span["kind"] for span in spans} == {"server", "client", "internal", "producer", "consumer"}
    assert {span["status_code"] for span in spans} == {"unset", "ok", "error"}
    server, internal, client = by_name["POST /checkout"], by_name["price cart"], by_name["GET /tax"]
    assert server["parent_span_id"] == "00f067aa0ba902b7"
    assert internal["parent_span_id"] == server["span_id"]
    assert client["parent_span_id"] == internal["span_id"]
    assert {span["trace_state"] for span in (server, internal, client)} == {"gateway=edge-1,other=x:y"}
    assert [event["name"] for event in internal["events"]] == ["discount applied", "cart priced"]
    assert kinds(internal["attributes"]) >= {
        "stringValue",
        "boolValue",
        "intValue",
        "doubleValue",
        "arrayValue",
    }
    producer, consumer = by_name["send orders"], by_name["process orders"]
    assert [link["span_id"] for link in consumer["links"]] == [producer["span_id"]] * 2
    assert [bool(link["attributes"]) for link in consumer["links"]] == [True, False]
    assert "Größe" in consumer["status_message"]
    assert [event["name"] for event in consumer["events"]] == ["exception"]


def rich_points(points: list[dict[str, Any]]) -> None:
    shop = {point["metric"]: point for point in points if point["metric"].startswith("shop.")}
    assert {name: point["kind"] for name, point in shop.items()} == {
        "shop.requests": "sum",
        "shop.revenue": "sum",
        "shop.carts.open": "sum",
        "shop.cache.hits": "sum",
        "shop.queue.depth": "sum",
        "shop.price.factor": "gauge",
        "shop.room.temperature": "gauge",
        "shop.request.duration": "histogram",
        "shop.payload.size": "exponential_histogram",
    }
    assert [shop[name]["monotonic"] for name in ("shop.requests", "shop.carts.open")] == [True, False]
    assert shop["shop.carts.open"]["value"] == {"intValue": "-2"}
    assert shop["shop.request.duration"]["bounds"] == [0.01, 0.1, 0.5, 1]
    assert shop["shop.request.duration"]["bucket_counts"] == [1, 2, 0, 1, 1]
    assert shop["shop.payload.size"]["zero_count"] == 1


def rich_logs(logs: list[dict[str, Any]]) -> None:
    assert kinds(enumerate_bodies(logs)) == {
        *("stringValue", "kvlistValue", "arrayValue", "bytesValue", "intValue", "doubleValue", "boolValue"),
        "nothing",
    }
    assert {bool(line["span_id"]) for line in logs} == {True, False}
    assert {line["severity_number"] for line in logs} >= {0, 1, 5, 9, 10, 13, 17, 21}
    assert "shop.cart.priced" in {line["event_name"] for line in logs}


def enumerate_bodies(logs: list[dict[str, Any]]) -> dict[str, Any]:
    return {str(number): line["body"] for number, line in enumerate(logs)}


def kinds(values: dict[str, Any]) -> set[str]:
    return {next(iter(value), "nothing") for value in values.values()}


def everything_can_be_identified(manifest: dict[str, Any]) -> None:
    rows = expected.expected_rows(manifest)
    assert sum(map(len, rows.values())) == sum(len(manifest[part]) for part in ("spans", "points", "logs"))
    for table, found in rows.items():
        assert found, f"nothing for {table}"
        assert all(set(row) == set(expected.COLUMNS[table]) for row in found)
        assert expected.differences(table, found, found) == []
        identities = [
            json.dumps([row[c] for c in expected.IDENTITY.get(table, expected.POINT_IDENTITY)])
            for row in found
        ]
        assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refused_export_is_an_error(run_example: Any, sink: Any, language: str) -> None:
    sink.refuse = True

    done = run_example(language, variables(sink, "http/protobuf", "gzip"))

    assert done.returncode == 1
    assert json.loads(done.stdout)["spans"]
    assert done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_protocol_is_named(run_example: Any, sink: Any, language: str) -> None:
    done = run_example(
        language, {**variables(sink, "http/protobuf", "gzip"), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/xml"}
    )

    assert done.returncode == 2
    assert "protocol" in done.stderr.lower()
    assert done.stdout == ""
