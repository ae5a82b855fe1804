"""Other protocols over gRPC: Jaeger's call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from collector.foreign.jaeger_proto import MESSAGES
from ingest.signals import Signal

PROTO = (Path(__file__).parent / "data" / "jaeger_post_spans.bin").read_bytes()
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
