"""Attributes under names of secrets: found by the walk wherever they are, dropped or hashed, and nothing
else touched.
"""

from __future__ import annotations

import hashlib
import hmac
import string
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from pydantic import ValidationError

from collector.check import walk
from collector.check.check import check, look
from collector.check.scrub import Scrubber
from collector.check.tables import REQUESTS
from collector.settings import ScrubSettings
from ingest.signals import Signal

KEY = b"k" * 32
WORD = "hunter2-hunter2"
DEFAULT = Scrubber.of(ScrubSettings(), KEY)

NAMES = [
    "authorization",
    "Authorization",
    "AUTHORIZATION",
    "cookie",
    "set-cookie",
    "set_cookie",
    "Set-Cookie",
    "x-api-key",
    "X_API_KEY",
    "proxy-authorization",
    "http.request.header.authorization",
    "http.request.header.proxy-authorization",
    "http.request.header.cookie",
    "http.response.header.set-cookie",
    "http.response.header.set_cookie",
    "http.request.header.x-api-key",
    "http.request.header.X-Api-Key",
    "rpc.grpc.request.metadata.authorization",
    "rpc.request.metadata.x_api_key",
    f"{'a' * 500}.authorization",
]
OTHERS = [
    "", "a", "on", "service.version", "db.operation", "authorization.scheme",
    "unauthorization", "authorizatio",
    "cookies", "http.request.header.cookie2", "biscuit-cookie", "x-api-keys", "api-key", "key", "http.route",
    "authorizatiön", "set+cookie", "x.api.key",
]  # fmt: skip


def pair(name: str, value: object = WORD) -> KeyValue:
    held = AnyValue(string_value=value) if isinstance(value, str) else value
    assert isinstance(held, AnyValue)
    return KeyValue(key=name, value=held)


def in_lists(name: str, depth: int) -> AnyValue:
    value = AnyValue()
    value.kvlist_value.values.append(pair(name))
    for _ in range(depth):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    return value


def places(message: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The ways to all attributes of a message, by the names of fields."""
    for each in message.fields:
        if each.message_type is KeyValue.DESCRIPTOR:
            yield (*path, each.name)
        elif each.message_type is AnyValue.DESCRIPTOR:
            yield (*path, each.name, "kvlist_value", "values")
        elif each.message_type is not None:
            yield from places(each.message_type, (*path, each.name))


PLACES = [(signal, path) for signal in Signal for path in places(REQUESTS[signal].DESCRIPTOR)]


def attributes_of(request: Any, path: tuple[str, ...], now_ns: int) -> Any:
    """Those at a place, which is made if it is not there."""
    needed = {"time_unix_nano": now_ns, "trace_id": b"1" * 16, "span_id": b"1" * 8}
    here = request
    for name in path[:-1]:
        here = getattr(here, name)
        if hasattr(here, "add"):
            is_new = not here
            here = here.add() if is_new else here[0]
            for key, value in needed.items():
                if is_new and key in here.DESCRIPTOR.fields_by_name:
                    setattr(here, key, value)
    return getattr(here, path[-1])


def test_all_places_are_tried() -> None:
    """As of opentelemetry-proto 1.x; a new one comes by itself."""
    assert {signal: sum(each is signal for each, _ in PLACES) for signal in Signal} == {
        Signal.TRACES: 5, Signal.METRICS: 12, Signal.LOGS: 4,
    }  # fmt: skip


def checked(otlp: Any, signal: Signal, request: Any, scrubber: Scrubber = DEFAULT) -> Any:
    body = request.SerializeToString()
    found = look(signal, body, gate=otlp.gate, now_ns=otlp.now, scrubber=scrubber)
    return found or check(signal, body, gate=otlp.gate, now_ns=otlp.now, scrubber=scrubber)


@pytest.mark.parametrize(
    ("signal", "path"), PLACES, ids=lambda value: value if isinstance(value, Signal) else ".".join(value)
)
@pytest.mark.parametrize("name", ["authorization", "http.request.header.set_cookie"])
def test_it_is_found_wherever_attributes_are(
    otlp: Any, signal: Signal, path: tuple[str, ...], name: str
) -> None:
    request = otlp.request(signal)
    attributes_of(request, path, otlp.now).extend([pair("before", "1"), pair(name), pair("after", "2")])

    found = checked(otlp, signal, request)

    assert WORD.encode() not in found.body
    assert b"before" in found.body
    assert b"after" in found.body
    assert (found.items, found.rejected, found.dropped, found.hashed) == (1, 0, 1, 0)


@pytest.mark.parametrize("depth", [0, 1, 2, 5, 20])
def test_also_deep_inside_a_value(otlp: Any, depth: int) -> None:
    """Where it would become JSON text a moment later."""
    request = otlp.request(Signal.TRACES)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.append(pair("outer", in_lists("Cookie", depth)))

    found = checked(otlp, Signal.TRACES, request)

    assert WORD.encode() not in found.body
    assert found.dropped == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_the_headers_that_let_somebody_in(otlp: Any, name: str) -> None:
    request = otlp.request(Signal.TRACES)
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(pair(name))

    assert WORD.encode() not in checked(otlp, Signal.TRACES, request).body


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_left_alone_to_the_byte(otlp: Any, name: str) -> None:
    request = otlp.request(Signal.TRACES)
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(pair(name))

    found = checked(otlp, Signal.TRACES, request)

    assert found.body == request.SerializeToString()
    assert found.dropped == 0


@pytest.mark.parametrize("signal", list(Signal))
def test_a_request_without_any_is_never_parsed(otlp: Any, signal: Signal) -> None:
    body = otlp.request(signal, 5).SerializeToString()

    found = look(signal, body, gate=otlp.gate, now_ns=otlp.now, scrubber=DEFAULT)

    assert found is not None
    assert found.body is body


@pytest.mark.parametrize("odd", ["unknown field", "late record", "bad id"])
def test_whatever_else_is_wrong_with_the_request(otlp: Any, odd: str) -> None:
    """Each of these takes another way through the check."""
    request = otlp.request(Signal.TRACES, 2)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.append(pair("authorization"))
    if odd == "late record":
        request.resource_spans[-1].scope_spans[-1].spans[-1].start_time_unix_nano = 1
    if odd == "bad id":
        span.parent_span_id = b"x"
    body = request.SerializeToString() + (b"\xf8\x07\x01" if odd == "unknown field" else b"")

    found = check(Signal.TRACES, body, gate=otlp.gate, now_ns=otlp.now, scrubber=DEFAULT)

    assert WORD.encode() not in found.body
    assert found.items + found.rejected == 2


class TestHashing:
    """Rules that keep equal values equal."""

    rules = Scrubber.of(ScrubSettings(hash=("enduser.*", "*.x-api-key")), KEY)

    def stored(self, otlp: Any, value: AnyValue | str, scrubber: Scrubber = rules) -> str:
        request = otlp.request(Signal.TRACES)
        request.resource_spans[0].scope_spans[0].spans[0].attributes.append(pair("enduser.id", value))
        found = checked(otlp, Signal.TRACES, request, scrubber)
        assert (found.hashed, found.dropped) == (1, 0)
        assert WORD.encode() not in found.body
        kept = REQUESTS[Signal.TRACES].FromString(found.body)
        (one,) = [
            each
            for each in kept.resource_spans[0].scope_spans[0].spans[0].attributes
            if each.key == "enduser.id"
        ]
        return str(one.value.string_value)

    def test_it_is_a_keyed_digest(self, otlp: Any) -> None:
        digest = hmac.new(KEY, f'"{WORD}"'.encode(), hashlib.sha256).hexdigest()

        assert self.stored(otlp, WORD) == f"hmac:{digest[:32]}"

    def test_equal_values_stay_equal_and_others_differ(self, otlp: Any) -> None:
        assert self.stored(otlp, WORD) == self.stored(otlp, WORD) != self.stored(otlp, WORD + "x")

    def test_another_key_gives_another_digest(self, otlp: Any) -> None:
        other = Scrubber.of(ScrubSettings(hash=("enduser.*",)), b"o" * 32)

        assert self.stored(otlp, WORD) != self.stored(otlp, WORD, other)

    @pytest.mark.parametrize(
        "value",
        [AnyValue(), AnyValue(int_value=5), AnyValue(bytes_value=WORD.encode()), in_lists("x", 3)],
        ids=["absent", "number", "bytes", "list"],
    )
    def test_values_of_any_kind(self, otlp: Any, value: AnyValue) -> None:
        assert self.stored(otlp, value).startswith("hmac:")

    def test_it_goes_before_dropping(self, otlp: Any) -> None:
        request = otlp.request(Signal.TRACES)
        span = request.resource_spans[0].scope_spans[0].spans[0]
        span.attributes.append(pair("http.request.header.x-api-key"))

        found = checked(otlp, Signal.TRACES, request, self.rules)

        assert (found.hashed, found.dropped) == (1, 0)


_WORDS = st.text(alphabet="abcXYZ-_.k019é ", max_size=12)
_RULES = st.lists(
    st.tuples(st.sampled_from(["{}", "*{}", "{}*", "*.{}", "ab*{}", "{}*yz"]), _WORDS).map(
        lambda made: made[0].format(made[1])
    ),
    max_size=6,
)


def usable(rules: list[str]) -> ScrubSettings | None:
    try:
        return ScrubSettings(drop=tuple(rules))
    except ValidationError:
        return None


@given(rules=_RULES, names=st.lists(_WORDS, min_size=1, max_size=8), long=st.booleans())
def test_the_walk_misses_no_name_that_a_rule_matches(
    otlp: Any, rules: list[str], names: list[str], long: bool
) -> None:
    """It may flag one in vain, but then nothing is changed."""
    settings = usable(rules)
    if settings is None:
        return
    scrubber = Scrubber.of(settings, KEY)
    fold = str.maketrans(string.ascii_uppercase + "_", string.ascii_lowercase + "-")
    for name in [*names, *(rule.replace("*", "") for rule in rules)]:
        written = "z" * 200 + name if long else name
        request = otlp.request(Signal.TRACES)
        request.resource_spans[0].scope_spans[0].spans[0].attributes.append(pair(written))
        body = request.SerializeToString()

        _, flags = otlp.walk(Signal.TRACES, body, scrubber.table)
        found = check(Signal.TRACES, body, gate=otlp.gate, now_ns=otlp.now, scrubber=scrubber)

        if scrubber.drop.fullmatch(written.translate(fold)):
            assert flags & walk.DENIED
            assert found.dropped >= 1
            assert WORD.encode() not in found.body
        else:
            assert WORD.encode() in found.body


@pytest.mark.parametrize("rule", ["", "*", "a", "*a", "a*", "a*b", "**", "x" * 201])
def test_a_rule_that_names_nothing_in_particular_is_refused(rule: str) -> None:
    with pytest.raises(ValidationError):
        ScrubSettings(drop=(rule,))
