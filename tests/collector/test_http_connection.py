"""What happens on a connection: limits, deadlines, bodies nobody read, senders that hang up, and stopping."""

from __future__ import annotations

import asyncio
import gzip
import threading
from typing import Any

import pytest
from google.rpc import status_pb2
from structlog.testing import capture_logs

from collector import handling
from collector.codecs import Encoding
from ingest.signals import Signal
from support.http_wire import CHUNKED, LINES, ONE_SPAN, POST, answer, closed, dripped


async def test_a_connection_is_used_again(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    for _ in range(3):
        writer.write(POST)
        assert (await answer(reader))[0] == 200
    writer.close()
    assert len(receivers.spool.stored) == 3


async def test_pipelined_requests_are_answered_in_order(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(POST + b"GET /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n" + POST)
    assert [(await answer(reader))[0] for _ in range(3)] == [200, 405, 200]
    writer.close()


async def test_http_1_0_is_answered_and_closed(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(POST.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (await answer(reader))[0] == 200
    assert await closed(reader)
    writer.close()


async def test_head_has_no_body(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(b"HEAD /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405")
    writer.write(POST)
    assert (await answer(reader))[0] == 200
    writer.close()


async def test_100_continue_is_sent_when_the_body_is_wanted(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(LINES + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(ONE_SPAN))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(ONE_SPAN)
    assert (await answer(reader))[0] == 200
    writer.close()


async def test_100_continue_is_not_sent_when_it_is_not(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(LINES + b"expect: 100-continue\r\ncontent-length: 99999999999\r\n\r\n")
    status, headers, _ = await answer(reader)
    assert (status, headers["connection"]) == (413, "close")
    assert await closed(reader)
    writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"HELLO\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nbad header\r\n\r\n",
        LINES + b"content-length: -1\r\n\r\n",
        LINES + b"content-length: 99999999999999999999999\r\n\r\n",
        LINES + b"content-length: 5\r\ncontent-length: 6\r\n\r\n",
        LINES + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["tls", "words", "header", "negative", "overflow", "two lengths", "length and chunked", "not ascii"],
)
async def test_what_is_not_http_is_400_with_a_status(receivers: Any, garbage: bytes) -> None:
    reader, writer = await receivers.connect()
    writer.write(garbage)
    status, headers, body = await answer(reader)
    assert (status, headers["content-type"]) == (400, "application/x-protobuf")
    assert status_pb2.Status.FromString(body).code == 3
    assert await closed(reader)
    writer.close()
    assert (
        receivers.count("lowtide_collector_requests_total", signal="none", transport="http", code="400") == 1
    )


async def test_a_broken_chunk_is_400(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(LINES + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
    assert (await answer(reader))[0] == 400
    assert await closed(reader)
    writer.close()
    assert receivers.spool.stored == []


@pytest.mark.parametrize("ends", [True, False], ids=["complete", "endless"])
@pytest.mark.parametrize("shape", ["one long", "many", "a long path"])
async def test_headers_above_the_limit_are_431(start_receivers: Any, shape: str, ends: bool) -> None:
    receivers = await start_receivers(max_header_bytes=4096)
    reader, writer = await receivers.connect()
    text = {
        "one long": b"POST / HTTP/1.1\r\nx: " + b"y" * 5000,
        "many": b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 2000,
        "a long path": b"POST /" + b"y" * 5000,
    }[shape]
    if ends:
        text += b" HTTP/1.1\r\n\r\n" if shape == "a long path" else b"\r\n\r\n"
    writer.write(text)
    status, headers, body = await answer(reader)
    assert (status, headers["connection"]) == (431, "close")
    assert status_pb2.Status.FromString(body).code == 8
    assert await closed(reader)
    writer.close()


@pytest.mark.parametrize(
    "tail",
    [b"0\r\nx: " + b"y" * 900_000, b"0\r\n" + b"x: y\r\n" * 150_000, b"5;" + b"x" * 900_000],
    ids=["a long trailer", "many trailers", "a long extension of a chunk"],
)
@pytest.mark.parametrize("path", [b"/v1/traces", b"/nowhere"])
async def test_what_follows_a_body_without_end_is_431(start_receivers: Any, tail: bytes, path: bytes) -> None:
    receivers = await start_receivers(max_header_bytes=4096)
    reader, writer = await receivers.connect()
    head = LINES.replace(b"/v1/traces", path) + b"transfer-encoding: chunked\r\n\r\n"
    writer.write(head + b"%x\r\n%s\r\n" % (len(ONE_SPAN), ONE_SPAN))
    if path == b"/nowhere":
        assert (await answer(reader))[0] == 404
    else:
        await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == len(ONE_SPAN))
    writer.write(tail)
    if path != b"/nowhere":  # that one has its answer
        assert (await answer(reader))[0] == 431
    assert await closed(reader)
    writer.transport.abort()
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert receivers.spool.stored == []


async def test_trailers_are_read_and_left_out(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    chunks = b"%x;a=b\r\n%s\r\n0\r\ncontent-encoding: br\r\nx: y\r\n\r\n" % (len(ONE_SPAN), ONE_SPAN)
    for _ in range(3):
        writer.write(CHUNKED + chunks)
        assert (await answer(reader))[0] == 200
    writer.close()
    assert len(receivers.spool.stored) == 3


async def test_headers_just_below_the_limit_are_read(start_receivers: Any) -> None:
    receivers = await start_receivers(max_header_bytes=4096)
    reader, writer = await receivers.connect()
    for _ in range(3):
        writer.write(POST.replace(b"host: x", b"host: " + b"x" * 3800))
        assert (await answer(reader))[0] == 200
    writer.close()


async def test_a_connection_that_sends_nothing_is_closed(start_receivers: Any) -> None:
    receivers = await start_receivers(header_timeout_s=0.1)
    reader, _ = await receivers.connect()
    assert await closed(reader)


@pytest.mark.parametrize("later", [False, True], ids=["first request", "second request"])
@pytest.mark.parametrize("drips", [False, True], ids=["pauses", "drips"])
async def test_slow_headers_are_503_and_the_sender_comes_back(
    start_receivers: Any, drips: bool, later: bool
) -> None:
    receivers = await start_receivers(header_timeout_s=0.3)
    reader, writer = await receivers.connect()
    if later:
        writer.write(POST)
        assert (await answer(reader))[0] == 200
    writer.write(b"POST /v1/t")
    reply = asyncio.create_task(answer(reader))
    while drips and not reader._buffer and not reply.done():
        writer.write(b"x")
        await asyncio.sleep(0.023)  # not a divisor of the time limit
    status, headers, body = await reply
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "5")
    assert status_pb2.Status.FromString(body).code == 4
    assert await closed(reader)
    assert (
        receivers.count("lowtide_collector_requests_total", signal="none", transport="http", code="503") == 1
    )


async def test_an_idle_connection_is_closed(start_receivers: Any) -> None:
    receivers = await start_receivers(keep_alive_s=0.1)
    reader, writer = await receivers.connect()
    writer.write(POST)
    assert (await answer(reader))[0] == 200
    assert await closed(reader)
    writer.close()


@pytest.mark.parametrize("drips", [False, True])
async def test_a_slow_body_is_503_and_the_sender_comes_back(start_receivers: Any, drips: bool) -> None:
    receivers = await start_receivers(body_timeout_s=0.3)
    reader, writer = await receivers.connect()
    writer.write(LINES + b"content-length: 1000\r\n\r\n\x0a")
    reply = asyncio.create_task(answer(reader))
    status, headers, body = await (dripped(writer, b"\x00", reply) if drips else reply)
    assert (status, headers["retry-after"]) == (503, "5")
    assert status_pb2.Status.FromString(body).code == 4
    assert await closed(reader)  # not at once: a reset would take the answer with it
    writer.close()
    await receivers.until(lambda: receivers.http.connections == 0)
    codes = [
        receivers.count("lowtide_collector_requests_total", signal="traces", transport="http", code=code)
        for code in ("503", "cancelled")
    ]
    assert codes == [1, 0]
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert receivers.spool.stored == []


async def test_a_refused_body_is_read_away_and_the_connection_used_again(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    body = b"x" * 300_000
    for head in (LINES.replace(b"/v1/traces", b"/nowhere"), LINES.replace(b"POST", b"PUT")):
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body))
        assert (await answer(reader))[0] in (404, 405)  # answered before the body came
        writer.write(body)
    writer.write(POST)
    assert (await answer(reader))[0] == 200
    writer.close()


async def test_an_unread_body_that_never_ends_closes_the_connection(start_receivers: Any) -> None:
    receivers = await start_receivers(max_wire_bytes=100_000)
    reader, writer = await receivers.connect()
    writer.write(CHUNKED.replace(b"/v1/traces", b"/nowhere"))
    assert (await answer(reader))[0] == 404

    async def send_for_ever() -> None:
        while True:
            writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            await writer.drain()

    with pytest.raises(ConnectionError):
        await send_for_ever()
    writer.close()


async def test_an_unread_body_that_drips_closes_the_connection(start_receivers: Any) -> None:
    receivers = await start_receivers(body_timeout_s=0.2)
    reader, writer = await receivers.connect()
    writer.write(LINES.replace(b"/v1/traces", b"/nowhere") + b"content-length: 100000\r\n\r\n")
    assert (await answer(reader))[0] == 404
    assert await dripped(writer, b"x", asyncio.create_task(closed(reader)))
    writer.close()


async def test_a_413_reaches_a_sender_that_writes_first(start_receivers: Any) -> None:
    receivers = await start_receivers(max_wire_bytes=2_000_000)
    reader, writer = await receivers.connect()
    writer.write(LINES + b"content-length: 3000000\r\n\r\n")
    for _ in range(30):
        writer.write(b"x" * 100_000)
        await writer.drain()
        await asyncio.sleep(0.001)
        if reader._buffer:  # as senders do that look for an early answer
            break
    assert (await answer(reader))[0] == 413
    writer.close()


async def test_stated_lengths_without_bodies_do_not_block_the_others(start_receivers: Any) -> None:
    receivers = await start_receivers(max_wire_bytes=10_000, max_body_bytes=10_000, max_inflight_bytes=20_000)
    waiting = []
    for _ in range(8):  # together they state four times the budget
        reader, writer = await receivers.connect()
        writer.write(LINES + b"expect: 100-continue\r\ncontent-length: 10000\r\n\r\n")
        waiting.append(reader)
    for reader in waiting:  # all of them are let in
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert (await receivers.post("/v1/traces", ONE_SPAN)).status_code == 200


async def test_a_sender_that_hangs_up_is_forgotten(receivers: Any) -> None:
    _, writer = await receivers.connect()
    writer.write(LINES + b"content-length: 1000\r\n\r\nx")
    await writer.drain()
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 1)
    writer.close()
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 0)
    assert (
        receivers.count(
            "lowtide_collector_requests_total", signal="traces", transport="http", code="cancelled"
        )
        == 1
    )
    assert receivers.spool.stored == []


async def test_a_sender_that_does_not_wait_for_the_reply_is_stored(receivers: Any) -> None:
    receivers.spool.hold = True
    _, writer = await receivers.connect()
    writer.write(POST)
    await receivers.until(lambda: receivers.spool.held)
    writer.close()
    receivers.spool.release()
    await receivers.until(
        lambda: receivers.count("lowtide_collector_items_accepted_total", signal="traces") == 1
    )


async def test_connections_above_the_limit_get_503_then_nothing(start_receivers: Any) -> None:
    receivers = await start_receivers(max_connections=2)
    open_ones = [await receivers.connect() for _ in range(2)]
    reader, writer = await receivers.connect()
    writer.write(POST)
    status, headers, body = await answer(reader)
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "5")
    assert status_pb2.Status.FromString(body).code == 14
    assert await closed(reader)
    writer.close()

    spare = [await receivers.connect() for _ in range(64)]
    reader, writer = await receivers.connect()
    writer.write(POST)
    assert await closed(reader)
    for _, opened in [*open_ones, *spare, (reader, writer)]:
        opened.close()
    assert (
        receivers.count("lowtide_collector_requests_total", signal="none", transport="http", code="503") == 1
    )
    await receivers.until(lambda: receivers.http.connections == 0)
    reader, writer = await receivers.connect()
    writer.write(POST)
    assert (await answer(reader))[0] == 200
    writer.close()


UPGRADES = {
    # What the JDK's HttpClient sends with every request over cleartext.
    "h2c": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\n",
    "websocket": b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n",
    "anything": b"connection: keep-alive, upgrade\r\nupgrade: foo/2, bar\r\n",
}


@pytest.mark.parametrize("cut", ["whole", "head and body", "bytes"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("upgrade", UPGRADES)
async def test_an_upgrade_is_ignored_and_the_body_stored(
    receivers: Any, upgrade: str, framing: str, cut: str
) -> None:
    head = LINES + UPGRADES[upgrade]
    if framing == "length":
        head, body = head + b"content-length: %d\r\n\r\n" % len(ONE_SPAN), ONE_SPAN
    else:
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (ONE_SPAN[:3], ONE_SPAN[3:]))
        head, body = head + b"transfer-encoding: chunked\r\n\r\n", chunks + b"0\r\n\r\n"
    pieces = {
        "whole": [head + body],
        "head and body": [head, body],
        "bytes": [bytes([b]) for b in head + body],
    }
    reader, writer = await receivers.connect()
    for _ in range(2):  # the connection goes on as HTTP/1.1
        for piece in pieces[cut]:
            writer.write(piece)
            await asyncio.sleep(0)
        assert (await answer(reader))[0] == 200
    writer.write(POST)
    assert (await answer(reader))[0] == 200
    writer.close()
    assert [body for _, _, body, _ in receivers.spool.stored] == [ONE_SPAN] * 3


async def test_an_upgrade_among_pipelined_requests_loses_nothing(receivers: Any) -> None:
    upgrading = POST.replace(b"host: x\r\n", b"host: x\r\n" + UPGRADES["h2c"])
    reader, writer = await receivers.connect()
    writer.write(POST + upgrading + upgrading + POST)
    assert [(await answer(reader))[0] for _ in range(4)] == [200] * 4
    writer.close()
    assert len(receivers.spool.stored) == 4


async def test_an_upgrade_may_wait_for_100_continue(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    head = LINES + UPGRADES["h2c"] + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(ONE_SPAN)
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(ONE_SPAN)
    assert (await answer(reader))[0] == 200
    writer.close()
    assert len(receivers.spool.stored) == 1


async def test_an_upgrade_in_http_1_0_keeps_its_version(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(POST.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n" + UPGRADES["h2c"]))
    assert (await answer(reader))[0] == 200
    assert await closed(reader)
    writer.close()
    assert len(receivers.spool.stored) == 1


async def test_an_upgrade_does_not_get_around_the_header_limit(start_receivers: Any) -> None:
    receivers = await start_receivers(max_header_bytes=4096, header_timeout_s=60)
    reader, writer = await receivers.connect()
    writer.write(POST.replace(b"host: x", b"host: x\r\nconnection: upgrade\r\nupgrade: " + b"y" * 5000))
    assert (await answer(reader))[0] == 431
    # All of it was read, so nobody need wait for the sender to close.
    async with asyncio.timeout(10):
        await receivers.until(lambda: receivers.http.connections == 0)
    writer.close()
    assert receivers.spool.stored == []


async def test_other_methods_with_an_upgrade_are_405(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(b"GET /v1/traces HTTP/1.1\r\nhost: x\r\n" + UPGRADES["websocket"] + b"\r\n")
    assert (await answer(reader))[0] == 405
    writer.write(POST)
    assert (await answer(reader))[0] == 200
    writer.close()


@pytest.mark.parametrize("target", [b"x:80", b"/v1/traces"])
async def test_connect_is_refused_and_closed(receivers: Any, target: bytes) -> None:
    reader, writer = await receivers.connect()
    writer.write(b"CONNECT " + target + b" HTTP/1.1\r\nhost: x\r\n\r\n" + POST)
    assert (await answer(reader))[0] == 400
    assert await closed(reader)
    writer.close()
    assert receivers.spool.stored == []


async def test_a_few_pipelined_requests_are_queued_and_no_more(receivers: Any) -> None:
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST * 17)  # one in work and sixteen in the queue
    await receivers.until(lambda: receivers.spool.held)
    receivers.spool.release()
    assert [(await answer(reader))[0] for _ in range(17)] == [200] * 17
    receivers.spool.hold = True
    writer.write(POST * 5000)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await answer(reader)
    writer.close()
    await receivers.until(lambda: receivers.http.connections == 0)
    assert len(receivers.spool.stored) == 17 + 1
    assert (
        receivers.count("lowtide_collector_requests_total", signal="none", transport="http", code="503") == 1
    )


async def test_tls_to_a_port_of_plain_text_is_told_once(receivers: Any) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            reader, writer = await receivers.connect()
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
            assert (await answer(reader))[0] == 400
            writer.close()
    assert [(line["log_level"], line["listener"], line["untold"]) for line in lines] == [
        ("warning", "otlp_http", 0)
    ]


async def test_broken_requests_do_not_fill_the_log(receivers: Any, caplog: pytest.LogCaptureFixture) -> None:
    for garbage in (b"HELLO\r\n\r\n", POST.replace(b"host: x", b"connection: upgrade\r\nupgrade: h2c")):
        reader, writer = await receivers.connect()
        writer.write(garbage)
        await answer(reader)
        writer.close()
    assert caplog.records == []


async def test_stop_answers_what_is_in_flight_and_refuses_the_rest(receivers: Any) -> None:
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    idle_reader, idle_writer = await receivers.connect()
    idle_writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await answer(idle_reader))[0] == 404
    writer.write(POST)
    await receivers.until(lambda: receivers.spool.held)
    stopping = asyncio.create_task(receivers.stop(10))
    assert await closed(idle_reader)
    with pytest.raises(ConnectionError):
        await receivers.connect()
    receivers.spool.release()
    status, headers, _ = await answer(reader)
    assert (status, headers["connection"]) == (200, "close")
    assert await closed(reader)
    await stopping
    for opened in (writer, idle_writer):
        opened.close()


async def test_a_request_that_arrives_while_stopping_is_503(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    receivers.intake.refuse_new()
    writer.write(POST)
    status, headers, body = await answer(reader)
    assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
    assert status_pb2.Status.FromString(body).code == 14
    writer.close()


async def test_stop_hangs_up_on_senders_that_do_not_finish(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(LINES + b"content-length: 1000\r\n\r\nx")
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 1)
    await asyncio.wait_for(receivers.stop(0.1), 5)
    assert await closed(reader)
    writer.close()
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


async def test_a_large_body_takes_a_thread_and_others_are_served_meanwhile(
    start_receivers: Any, make_request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is inflated once: it says how large it is."""
    receivers = await start_receivers(inline_bytes=1000)
    gate, on_the_loop = threading.Event(), list[bool]()
    real = handling.inflate

    def slow(encoding: Encoding, data: bytes, **limits: Any) -> bytes:
        if len(data) == len(packed):
            on_the_loop.append(threading.current_thread() is threading.main_thread())
            assert gate.wait(10)
        return real(encoding, data, **limits)

    monkeypatch.setattr(handling, "inflate", slow)
    large = make_request(Signal.TRACES, ["a" * 100] * 100)
    packed = gzip.compress(large)
    assert len(packed) < 1000 < len(large)
    reply = asyncio.create_task(receivers.post("/v1/traces", packed, content_encoding="gzip"))
    for _ in range(3):
        assert (await receivers.post("/v1/traces", ONE_SPAN)).status_code == 200
    assert not reply.done()
    gate.set()
    assert (await reply).status_code == 200
    assert receivers.spool.stored[-1][2] == large
    assert on_the_loop == [False]
