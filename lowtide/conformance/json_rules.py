"""The rules about OTLP's JSON. Part of `catalogue`.

What a receiver understood cannot be seen from outside, only what it takes and refuses. So an original field
name is tried with a value of the wrong kind: who ignores the name, as an unknown one, does not see the value.
"""

from __future__ import annotations

from collections.abc import Callable

from lowtide.conformance import judging
from lowtide.conformance.making import json
from lowtide.conformance.rule import Level, Rule
from lowtide.conformance.samples import BASE64_IDS, SPAN_ID, TRACE_ID, Json, Samples

MUST, SHOULD = Level.MUST, Level.SHOULD
OTLP = "JSON Protobuf Encoding"
PROTO3 = "JSON Protobuf Encoding (ProtoJSON)"


def _changed(**fields: object) -> Callable[[Samples], bytes]:
    return lambda samples: samples.json(fields)


def _with_value(value: Json) -> Callable[[Samples], bytes]:
    return lambda samples: samples.json(value=value)


_UNKNOWN: Json = {"fieldOfALaterVersion": {"a": [1, None, {"b": "c"}]}, "another": None}

RULES = [
    Rule(
        "http.json.unknown-fields", MUST, OTLP, "unknown fields in the request and in the record", "200",
        json(judging.accepted, lambda s: s.json(_UNKNOWN, top=_UNKNOWN)),
    ),
    Rule(
        "http.json.original-names", SHOULD, OTLP,
        "one record, and an original field name (resource_...) with a number, where a list would stand",
        "200: the name is unknown, and ignored",
        json(judging.accepted, lambda s: s.json(top={s.outer_name: 7})),
    ),
    Rule(
        "http.json.hex-lower", MUST, OTLP, "ids in hex, lower case", "200",
        json(judging.accepted, lambda s: s.json(s.ids(TRACE_ID, SPAN_ID))),
    ),
    Rule(
        "http.json.hex-upper", MUST, OTLP, "ids in hex, upper case", "200",
        json(judging.accepted, lambda s: s.json(s.ids(TRACE_ID.upper(), SPAN_ID.upper()))),
    ),
    Rule(
        "http.json.base64-ids", MUST, OTLP, "ids in base64", "400, or partial_success",
        json(judging.refused, lambda s: s.json(s.ids(*BASE64_IDS))),
    ),
    Rule(
        "http.json.int64-text", MUST, PROTO3, "a 64-bit integer as a string", "200",
        json(judging.accepted, _with_value({"intValue": "9007199254740993"})),
    ),
    Rule(
        "http.json.int64-number", MUST, PROTO3, "a 64-bit integer as a number", "200",
        json(judging.accepted, _with_value({"intValue": 9007199254740993})),
    ),
    Rule(
        "http.json.enum-number", MUST, OTLP, "an enumeration value as an integer", "200",
        json(judging.accepted, lambda s: s.json(s.enumeration(by_name=False))),
    ),
    Rule(
        # A sentence about what is written; who reads it all the same takes what is not allowed.
        "http.json.enum-name", SHOULD, OTLP, "an enumeration value by its name", "400, or partial_success",
        json(judging.refused, lambda s: s.json(s.enumeration(by_name=True))),
    ),
    Rule(
        "http.json.null", MUST, PROTO3, "null in fields of the record: as if they were not there", "200",
        json(judging.accepted, _changed(droppedAttributesCount=None, unit=None, traceState=None, flags=None)),
    ),
    Rule(
        "http.json.bytes", MUST, PROTO3, "a bytes attribute in base64", "200",
        json(judging.accepted, _with_value({"bytesValue": "aGVsbG8="})),
    ),
    Rule(
        "http.json.double-number", MUST, PROTO3, "a floating-point attribute as a number with an exponent",
        "200",
        json(judging.accepted, _with_value({"doubleValue": 1.5e-7})),
    ),
    Rule(
        "http.json.double-text", MUST, PROTO3, 'floating-point attributes "NaN", "-Infinity" and "1.5"',
        "200",
        json(judging.accepted, _with_value({"arrayValue": {"values": [
            {"doubleValue": "NaN"}, {"doubleValue": "-Infinity"}, {"doubleValue": "1.5"},
        ]}})),
    ),
    Rule(
        "http.json.nested", MUST, PROTO3, "an attribute with a list of pairs", "200",
        json(judging.accepted, _with_value({"kvlistValue": {"values": [
            {"key": "a", "value": {"boolValue": True}}, {"key": "b", "value": {}},
        ]}})),
    ),
]  # fmt: skip
