"""Events of AWS Lambda's Telemetry API as an OTLP logs request (AWS Lambda Developer Guide, "Telemetry API
Event schema reference", schema version 2022-12-13). `collector.foreign.protocols` calls `translate`.

Each event becomes a record named by its type, with what the event records as the body: a line of a log, or
JSON. Which function it is about is said by few events; a forwarder says it in a header, as
OTEL_RESOURCE_ATTRIBUTES writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson

from collector.errors import BadRequestError
from collector.foreign.building import Attributes, Builder, Value, put, time_ns
from collector.foreign.jsons import Place, read
from collector.foreign.translated import Translated
from ingest.signals import Signal

RESOURCE_HEADER: Final = "otel-resource-attributes"
"""`service.name=checkout,faas.name=checkout,faas.version=7,cloud.region=eu-central-1`"""
_WHAT: Final = "an array of events of Lambda's Telemetry API"
_NS_PER_US: Final = 1000
_BYTES_PER_MB: Final = 1 << 20
_MOST_PAIRS: Final = 128
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAID_OF_FUNCTION: Final = {
    "functionName": "faas.name", "functionVersion": "faas.version", "instanceId": "faas.instance",
    "instanceMaxMemory": "faas.max_memory",
}  # fmt: skip
_TEXTS: Final = {
    "requestId": "faas.invocation_id", "status": "aws.lambda.status", "errorType": "error.type",
    "initializationType": "aws.lambda.initialization_type", "phase": "aws.lambda.phase",
}  # fmt: skip
_METRICS: Final = {
    "durationMs": "aws.lambda.duration_ms",
    "billedDurationMs": "aws.lambda.billed_duration_ms",
    "initDurationMs": "aws.lambda.init_duration_ms",
    "restoreDurationMs": "aws.lambda.restore_duration_ms",
    "producedBytes": "aws.lambda.produced_bytes",
}
_MEGABYTES: Final = {
    "memorySizeMB": "aws.lambda.memory_size_bytes", "maxMemoryUsedMB": "aws.lambda.max_memory_used_bytes",
}  # fmt: skip
_NAMES: Final = ("faas.name", "service.name")
_Pairs = dict[str, Value]


def translate(body: bytes, headers: Mapping[str, str], *, limit_bytes: int, memory_bytes: int) -> Translated:
    """Translate an uncompressed request. Raises BadRequestError naming what is wrong and where, also if
    nobody says which function the events are of, TooLargeError if it would take too much as OTLP, or too
    much memory to read."""
    events = Place(read(body, _WHAT, memory_bytes=memory_bytes), _WHAT).items()
    resource = _resource_of(events, _pairs_of(headers.get(RESOURCE_HEADER, "")))
    if events and not any(value for name, value in resource if name in _NAMES):
        # Together, the events of all such functions would be the runs and the bill of one without a name.
        raise BadRequestError(
            f"no event, and no header {RESOURCE_HEADER}, says which function this is of: let the extension "
            "send the header with every batch, as faas.name=NAME, from AWS_LAMBDA_FUNCTION_NAME"
        )
    built = Builder(Signal.LOGS)
    for event in events:
        kind, at = event.field("type").text(), event.field("time")
        if not kind:
            raise event.field("type").wrong("the type of an event")
        record = built.add(resource)
        record.time_unix_nano = _time_ns(at)
        record.event_name = kind
        said = event.field("record").value
        record.body.string_value = said if isinstance(said, str) else orjson.dumps(said).decode()
        if isinstance(said, dict):
            put(record.attributes, _attributes_of(kind, said).items())
    return built.translated(limit_bytes)


def _attributes_of(kind: str, said: Mapping[str, Any]) -> _Pairs:
    """What is counted and searched by. Nothing is refused for what is missing: Lambda adds and leaves out."""
    pairs: _Pairs = {
        name: said[key] for key, name in _TEXTS.items() if isinstance(said.get(key), str) and said[key]
    }
    metrics = said.get("metrics")
    if isinstance(metrics, dict):
        numbers = {key: value for key, value in metrics.items() if _is_number(value)}
        pairs |= {name: numbers[key] for key, name in _METRICS.items() if key in numbers}
        pairs |= {
            name: int(min(numbers[key], 1 << 30)) * _BYTES_PER_MB
            for key, name in _MEGABYTES.items()
            if key in numbers
        }
        if kind == "platform.report":
            # Only the first run of an instance has them.
            pairs["faas.coldstart"] = "initDurationMs" in numbers or "restoreDurationMs" in numbers
    return pairs


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _resource_of(events: list[Place], pairs: _Pairs) -> Attributes:
    """What the forwarder says, and else what the beginning of an instance does."""
    found: _Pairs = {"cloud.provider": "aws", "cloud.platform": "aws_lambda"}
    for event in events:
        said = event.field("record").value
        if event.field("type").text() == "platform.initStart" and isinstance(said, dict):
            found |= {
                name: said[key]
                for key, name in _SAID_OF_FUNCTION.items()
                if isinstance(said.get(key), str | int) and said[key]
            }
    found |= pairs
    if "service.name" not in found and "faas.name" in found:
        found["service.name"] = found["faas.name"]
    return tuple(sorted(found.items()))


def _pairs_of(header: str) -> _Pairs:
    """`key=value` pairs with commas between, values percent-encoded."""
    pairs: _Pairs = {}
    for number, part in enumerate(filter(None, map(str.strip, header.split(",")))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or number >= _MOST_PAIRS:
            raise BadRequestError(
                f"the header {RESOURCE_HEADER} is not a list of key=value, at part {number + 1}"
            )
        pairs[key.strip()] = unquote(value.strip())
    return pairs


def _time_ns(at: Place) -> int:
    """A time as RFC 3339 has it, in UTC where it does not say."""
    try:
        moment = datetime.fromisoformat(at.text())
        since = moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise at.wrong("a time such as 2022-10-12T00:00:15.064Z") from error
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return time_ns(microseconds * _NS_PER_US)
