"""Other protocols over gRPC: Jaeger's call, and the streams of Envoy's access log service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadRequestError
from collector.foreign.envoy import translate
from collector.foreign.envoy_messages import STREAM_MESSAGE
from collector.foreign.jaeger_proto import MESSAGES
from collector.grpc_streams import MAX_IDENTIFIER_BYTES
from ingest.signals import Signal
from ingest.spool.errors import SpoolFullError

PROTO = (Path(__file__).parent / "data" / "jaeger_post_spans.bin").read_bytes()
ACCESS_LOGS = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
POST_SPANS = "/jaeger.api_v2.CollectorService/PostSpans"


@pytest.fixture
async def channel(collector: Any) -> Any:
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(f"127.0.0.1:{collector.server.grpc_port}", options=options) as channel:
        yield channel


async def test_spans_are_stored_once(collector: Any, channel: Any) -> None:
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        assert await channel.unary_unary(POST_SPANS)(PROTO, compression=compression) == b""
    assert collector.stored == [(Signal.TRACES, "default", 3)]
    assert collector.count("requests_total", signal="traces", transport="grpc", code="OK") == 2


async def test_the_token_decides_before_the_message_is_read(collector: Any, channel: Any) -> None:
    call = channel.unary_unary(POST_SPANS)
    with pytest.raises(aio.AioRpcError) as error:
        await call(b"whatever", metadata=(("authorization", "Bearer nothing"),))
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    await call(PROTO, metadata=(("authorization", "Bearer traces"),))
    assert collector.stored == [(Signal.TRACES, "traces", 3)]


async def test_what_is_no_request_is_told(channel: Any) -> None:
    with pytest.raises(aio.AioRpcError) as error:
        await channel.unary_unary(POST_SPANS)(b"\x0a\x05")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a valid PostSpansRequest" in str(error.value.details())


async def test_a_part_that_is_refused_is_told_in_a_trailer(collector: Any, channel: Any, now_us: int) -> None:
    request = MESSAGES["PostSpansRequest"]()
    for name, at_us in (("good", now_us), ("ahead", now_us + 10**11)):
        span = request.batch.spans.add(trace_id=bytes(15) + b"1", span_id=b"12345678", operation_name=name)
        span.start_time.seconds, rest_us = divmod(at_us, 10**6)
        span.start_time.nanos = rest_us * 1000
    call = channel.unary_unary(POST_SPANS)(request.SerializeToString())
    assert await call == b""
    told = dict(await call.trailing_metadata())["lowtide-refused-bin"].decode()
    assert told.startswith("1 of 2 spans refused: 1 outside the accepted time window")
    assert collector.stored == [(Signal.TRACES, "default", 1)]
    assert collector.count("items_refused_total", signal="traces", reason="check") == 1


# --- streams


def message(now_us: int, *, node: str = "proxy-1", entries: int = 1, under_way: bool = False) -> bytes:
    """As Envoy writes them; without a node one that is not the first."""
    found = STREAM_MESSAGE()
    if node:
        found.identifier.node.id, found.identifier.node.cluster = node, "front"
    for number in range(entries):
        common = found.http_logs.log_entry.add().common_properties
        common.start_time.seconds, rest_us = divmod(now_us, 10**6)
        common.start_time.nanos = rest_us * 1000 + number
        common.intermediate_log_entry = under_way
    return bytes(found.SerializeToString())


async def streamed(channel: Any, *messages: bytes, **options: Any) -> bytes:
    """The answer to a stream of these."""

    async def sending() -> AsyncIterator[bytes]:
        for each in messages:
            yield each

    answer: bytes = await channel.stream_unary(ACCESS_LOGS)(sending(), **options)
    return answer


async def test_every_message_of_a_stream_is_stored(collector: Any, channel: Any, now_us: int) -> None:
    first, second = message(now_us), message(now_us + 1, node="", entries=3)
    assert await streamed(channel, first, second) == b""
    assert collector.stored == [(Signal.LOGS, "default", 1), (Signal.LOGS, "default", 3)]
    for body in collector.bodies():
        assert b"proxy-1" in body, "who sent it is said once, and known of all"


async def test_entries_of_requests_under_way_are_counted_only(
    collector: Any, channel: Any, now_us: int
) -> None:
    await streamed(channel, message(now_us, entries=2, under_way=True), message(now_us, node=""))
    assert collector.stored == [(Signal.LOGS, "default", 1)]
    assert collector.count("items_refused_total", signal="logs", reason="check") == 2


async def test_a_stream_needs_a_token_for_logs(collector: Any, channel: Any, now_us: int) -> None:
    for token, code in (
        ("traces", "PERMISSION_DENIED"),
        ("nothing", "PERMISSION_DENIED"),
        ("", "UNAUTHENTICATED"),
    ):
        with pytest.raises(aio.AioRpcError) as error:
            await streamed(channel, message(now_us), metadata=(("authorization", f"Bearer {token}"),))
        assert error.value.code().name == code
    await streamed(channel, message(now_us), metadata=(("authorization", "Bearer shop"),))
    assert collector.stored == [(Signal.LOGS, "shop", 1)]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        (b"", "the first message of a stream has an identifier"),
        (b"\x12\x00", "the first message of a stream has an identifier"),
        (b"\x0a\x05", "truncated or damaged"),
        (b"\x0a\x02\x0a\x05", "not a valid StreamMessage"),
        (b"\x0a\x81\x80\x04" + bytes(MAX_IDENTIFIER_BYTES + 1), "larger than 65536 bytes"),
    ],
)
async def test_a_stream_that_begins_wrongly_is_ended(
    collector: Any, channel: Any, first: bytes, told: str
) -> None:
    with pytest.raises(aio.AioRpcError) as error:
        await streamed(channel, first)
    assert told in str(error.value.details())
    assert not collector.stored


async def test_what_cannot_be_taken_now_is_tried_again(
    collector: Any, channel: Any, now_us: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.grpc_streams._PAUSE_S", 0.01)
    tries = 0
    check_room = collector.spool.check_room

    def full_twice(signal: Signal) -> None:
        nonlocal tries
        tries += 1
        if 1 < tries < 4:
            raise SpoolFullError("full")
        check_room(signal)

    collector.spool.check_room = full_twice
    await streamed(channel, message(now_us), message(now_us + 1, node=""))
    assert [items for _, _, items in collector.stored] == [1, 1]
    assert tries == 4


async def test_a_stream_that_waits_ends_with_the_collector(collector: Any, channel: Any, now_us: int) -> None:
    call = channel.stream_unary(ACCESS_LOGS)()
    await call.write(message(now_us))
    async with asyncio.timeout(10):
        while not collector.stored:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0.01)
        await collector.server.stop(60)
        assert await call == b""


@pytest.mark.parametrize("collector", [{"max_streams": 1}], indirect=True)
async def test_streams_beyond_the_most_come_back_later(collector: Any, channel: Any, now_us: int) -> None:
    first = channel.stream_unary(ACCESS_LOGS)()
    await first.write(message(now_us))
    async with asyncio.timeout(10):
        while not collector.stored:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0.01)
    with pytest.raises(aio.AioRpcError) as error:
        await streamed(channel, message(now_us + 1))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "too many streams" in str(error.value.details())
    assert "grpc-status-details-bin" in dict(error.value.trailing_metadata()), "when to come back"
    assert collector.count("refusals_total", signal="logs", transport="grpc", reason="overloaded") == 1
    await first.done_writing()
    assert await first == b""
    assert await streamed(channel, message(now_us + 2)) == b""
    assert [items for _, _, items in collector.stored] == [1, 1]


async def test_credentials_in_envoys_headers_and_jaegers_tags_are_not_kept(
    collector: Any, channel: Any, now_us: int
) -> None:
    entry = STREAM_MESSAGE.FromString(message(now_us))
    for key, text in (("authorization", "Bearer hunter2"), ("x-request-id", "kept-1")):
        entry.http_logs.log_entry[0].request.request_headers.add(key=key, value=text)
    await streamed(channel, entry.SerializeToString())
    request = MESSAGES["PostSpansRequest"].FromString(PROTO)
    for key, text in (("authorization", "hunter2"), ("seen", "kept-2")):
        request.batch.spans[0].tags.add(key=key, v_str=text)
    await channel.unary_unary(POST_SPANS)(request.SerializeToString())

    logs, traces = collector.bodies()

    assert b"kept-1" in logs
    assert b"kept-2" in traces
    assert b"hunter2" not in logs + traces
    for signal in ("logs", "traces"):
        assert collector.count("attributes_scrubbed_total", signal=signal, action="dropped") == 1


@given(st.binary(max_size=200))
def test_any_bytes_as_a_message(body: bytes) -> None:
    with contextlib.suppress(BadRequestError):
        assert translate(body, limit_bytes=1 << 20, memory_bytes=1 << 20) == translate(
            body, limit_bytes=1 << 20, memory_bytes=1 << 20
        )
