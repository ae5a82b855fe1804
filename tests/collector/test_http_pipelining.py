"""Several requests on one connection before the first is answered: order, limits and the end; and connections
whose end the sender does not want.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import weakref
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector import http_exchange
from collector.http_message import Writer
from support.http_wire import CHUNKED, LINES, ONE_SPAN, POST, SIZED, closed, dripped, status


async def nothing_comes(reader: asyncio.StreamReader, seconds: float = 0.1) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), seconds) is None
    except TimeoutError:
        return True


async def test_a_broken_request_is_answered_after_those_before_it(receivers: Any) -> None:
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST + b"HELLO\r\n\r\n" + POST)
    await receivers.until(lambda: receivers.spool.held)
    assert await nothing_comes(reader)
    receivers.spool.release()
    assert [await status(reader) for _ in range(2)] == [200, 400]
    assert await closed(reader)
    assert len(receivers.spool.stored) == 1


async def test_large_headers_are_answered_after_those_before_them(start_receivers: Any) -> None:
    receivers = await start_receivers(max_header_bytes=4096)
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST)
    await receivers.until(lambda: receivers.spool.held)
    writer.write(b"POST /v1/traces HTTP/1.1\r\nx: " + b"y" * 5000)
    assert await nothing_comes(reader)
    receivers.spool.release()
    assert [await status(reader) for _ in range(2)] == [200, 431]
    assert await closed(reader)


async def test_headers_are_not_late_while_the_answer_is_ours(start_receivers: Any) -> None:
    receivers = await start_receivers(header_timeout_s=0.1)
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST + LINES)
    assert await nothing_comes(reader, 0.3)
    receivers.spool.release()
    assert await status(reader) == 200
    assert await status(reader) == 503  # from now on it is theirs
    assert await closed(reader)


async def test_a_body_that_waited_in_part_is_stored_whole(receivers: Any) -> None:
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    head, rest = POST[:-4], POST[-4:]
    writer.write(POST + head)
    await receivers.until(lambda: receivers.spool.held)
    receivers.spool.hold = False
    receivers.spool.release()
    assert await status(reader) == 200
    writer.write(rest)
    assert await status(reader) == 200
    assert [body for _, _, body, _ in receivers.spool.stored] == [ONE_SPAN] * 2


async def test_a_body_that_waited_in_part_is_not_waited_for_for_ever(start_receivers: Any) -> None:
    receivers = await start_receivers(body_timeout_s=0.2)
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST + POST[:-4])
    await receivers.until(lambda: receivers.spool.held)
    receivers.spool.hold = False
    receivers.spool.release()
    assert [await status(reader) for _ in range(2)] == [200, 503]
    assert await closed(reader)
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


async def test_a_body_that_waited_is_held_to_its_limit(start_receivers: Any) -> None:
    receivers = await start_receivers(max_wire_bytes=2000, max_body_bytes=2000)
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    chunked = CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (3000, b"x" * 3000)
    writer.write(POST + chunked + POST)
    await receivers.until(lambda: receivers.spool.held)
    receivers.spool.hold = False
    receivers.spool.release()
    assert [await status(reader) for _ in range(3)] == [200, 413, 200]
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


async def test_the_bytes_of_a_body_that_breaks_off_are_given_back(receivers: Any) -> None:
    reader, writer = await receivers.connect()
    writer.write(CHUNKED + b"5\r\nabcde\r\n")
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 5)
    writer.write(b"zz\r\n")
    assert await status(reader) == 400
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    assert await closed(reader)
    codes = {
        (sample.labels["signal"], sample.labels["code"]): sample.value
        for metric in receivers.registry.collect()
        for sample in metric.samples
        if sample.name == "lowtide_collector_requests_total"
    }
    assert codes == {("traces", "400"): 1}


@pytest.mark.parametrize("reads_later", [True, False])
async def test_a_sender_that_does_not_read_its_answers_is_not_read(
    start_receivers: Any, reads_later: bool
) -> None:
    """Each answer is longer than its request, so they would fill our memory. In the end it is hung up on."""
    receivers = await start_receivers(body_timeout_s=30 if reads_later else 0.5)
    reader, writer = await receivers.connect()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    sent = 0
    with contextlib.suppress(TimeoutError, ConnectionError):
        while sent < 1_000_000:  # ten times what sockets hold
            writer.write(request * 100)
            sent += 100
            await asyncio.wait_for(writer.drain(), 0.5)
    assert sent < 1_000_000
    if reads_later:
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert await status(reader) == 404
        writer.transport.abort()
    await receivers.until(lambda: receivers.http.connections == 0)


async def test_what_waits_when_the_listener_stops_is_told_so(receivers: Any) -> None:
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST + POST)
    await receivers.until(lambda: receivers.spool.held)
    stopping = asyncio.create_task(receivers.stop(10))
    await asyncio.sleep(0.05)
    receivers.spool.release()
    assert [await status(reader) for _ in range(2)] == [200, 503]
    assert await closed(reader)
    await asyncio.wait_for(stopping, 5)
    assert len(receivers.spool.stored) == 1


async def test_a_body_that_breaks_off_while_it_waits_holds_nothing(start_receivers: Any) -> None:
    receivers = await start_receivers(header_timeout_s=0.3)
    broken = b"5\r\nabcde\r\nzz\r\n"
    receivers.spool.hold = True
    reader, writer = await receivers.connect()
    writer.write(POST + CHUNKED + broken)
    await receivers.until(lambda: receivers.spool.held)
    receivers.spool.hold = False
    receivers.spool.release()
    assert await status(reader) == 200
    assert await status(reader) == 400
    assert await closed(reader)
    await receivers.until(lambda: receivers.http.connections == 0)
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    writer.close()


ENDS = {
    "the sender says so": b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\nhost: x\r\n\r\n",
    "refused, expected": POST.replace(b"/v1/traces", b"/no").replace(b"host", b"expect: 100-continue\r\nx"),
    "large headers": b"GET / HTTP/1.1\r\nx: " + b"y" * 5000 + b"\r\n\r\n",
    "broken": b"HELLO\r\n\r\n",
    "broken in its body": CHUNKED + b"zz\r\n",
}


@pytest.mark.parametrize("after", [b"", POST], ids=["alone", "and another"])
@pytest.mark.parametrize("request_bytes", ENDS.values(), ids=ENDS.keys())
async def test_a_connection_that_ended_does_not_stay_although_the_sender_does(
    start_receivers: Any, request_bytes: bytes, after: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    receivers = await start_receivers(max_header_bytes=4096, header_timeout_s=0.3)
    reader, writer = await receivers.connect()
    writer.write(request_bytes + after)
    assert await status(reader) >= 400
    assert await closed(reader)
    await receivers.until(lambda: receivers.http.connections == 0)
    writer.close()
    assert receivers.spool.stored == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_crowd_does_not_take_the_spare_places_for_good(start_receivers: Any) -> None:
    receivers = await start_receivers(max_connections=1, header_timeout_s=0.3)
    first = await receivers.connect()
    crowd = [await receivers.connect() for _ in range(10)]
    for reader, writer in crowd:
        writer.write(POST + POST)
        assert await status(reader) == 503
    await receivers.until(lambda: receivers.http.connections == 1)
    refusals = {"signal": "traces", "transport": "http", "code": "503"}
    assert receivers.count("lowtide_collector_requests_total", **refusals) == 10
    for _, writer in [first, *crowd]:
        writer.close()


async def test_answers_that_nobody_takes_do_not_hold_an_idle_connection(start_receivers: Any) -> None:
    receivers = await start_receivers(keep_alive_s=0.2, header_timeout_s=0.3)
    reader, writer = await receivers.connect()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    raw = writer.get_extra_info("socket")
    assert raw is not None
    for _ in range(60):  # more than sockets hold, less than where writing is paused
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 10)
        await asyncio.sleep(0)
    await receivers.until(lambda: receivers.http.connections == 0)
    writer.transport.abort()


@pytest.mark.parametrize("last", [POST, POST[:-3], LINES[:30]], ids=["in work", "half a body", "half a head"])
async def test_answers_that_nobody_takes_do_not_hold_a_connection_that_was_half_closed(
    start_receivers: Any, last: bytes
) -> None:
    receivers = await start_receivers(
        keep_alive_s=0.3, header_timeout_s=0.3, body_timeout_s=0.3, max_connections=5
    )
    receivers.spool.hold = True
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", receivers.http_port))
        await receivers.until(lambda: receivers.http.connections == 1)
        (connection,) = receivers.http._connections._open
        own = connection._transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.setblocking(False)
        # Until some answers are left with us, but not so many that writing is paused.
        while connection._transport.get_write_buffer_size() < 2000:
            client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(0.001)
        client.send(last)
        client.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.1)
        receivers.spool.hold = False
        receivers.spool.release()
        await receivers.until(lambda: receivers.http.connections == 0)
    assert receivers.count("lowtide_collector_inflight_bytes") == 0


@pytest.mark.parametrize("held", [True, False])
async def test_who_says_that_nothing_more_comes_gets_its_answer(receivers: Any, held: bool) -> None:
    receivers.spool.hold = held
    reader, writer = await receivers.connect()
    writer.write(POST)
    writer.write_eof()
    if held:
        await receivers.until(lambda: receivers.spool.held)
        await asyncio.sleep(0.05)
        receivers.spool.release()
    assert await status(reader) == 200
    assert await closed(reader)
    await receivers.until(lambda: receivers.http.connections == 0)


async def test_empty_lines_are_no_request(start_receivers: Any) -> None:
    receivers = await start_receivers(keep_alive_s=0.3)
    reader, writer = await receivers.connect()
    writer.write(POST)
    assert await status(reader) == 200
    assert await dripped(writer, b"\r\n", asyncio.create_task(closed(reader)))
    writer.close()


async def test_a_body_in_tiny_chunks_takes_no_more_memory_than_it_says(receivers: Any) -> None:
    """An object for each chunk would be thirty times as much."""
    _, writer = await receivers.connect()
    writer.write(CHUNKED)
    (connection,) = receivers.http._connections._open
    for _ in range(100):
        writer.write(b"2\r\nab\r\n" * 1000)
        await writer.drain()
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 200_000)
    assert sys.getsizeof(connection._current._body) < 300_000
    writer.close()
    await receivers.until(lambda: receivers.http.connections == 0)


@pytest.mark.parametrize("how", ["hangs up", "is late"])
async def test_a_body_that_is_not_wanted_any_more_is_not_kept(start_receivers: Any, how: str) -> None:
    receivers = await start_receivers(body_timeout_s=0.3 if how == "is late" else 30)
    reader, writer = await receivers.connect()
    writer.write(LINES + b"content-length: 2000000\r\n\r\n" + b"x" * 1_000_000)
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 1_000_000)
    (connection,) = receivers.http._connections._open
    exchange = connection._current
    if how == "is late":
        assert await status(reader) == 503
    else:
        writer.transport.abort()
        await receivers.until(lambda: receivers.http.connections == 0)
    assert exchange._body == b""
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
    writer.close()


async def test_a_connection_that_is_gone_leaves_no_ring_behind(receivers: Any) -> None:
    """With headers of some kilobytes each, many a second, the search for rings comes too late."""
    reader, writer = await receivers.connect()
    writer.write(POST)
    assert await status(reader) == 200
    (connection,) = receivers.http._connections._open
    left = weakref.ref(connection)
    del connection
    gc.disable()
    try:
        writer.close()
        async with asyncio.timeout(10):
            await receivers.until(lambda: receivers.http.connections == 0 and left() is None)
    finally:
        gc.enable()


async def test_what_is_no_body_is_counted_for_each_request_by_itself(start_receivers: Any) -> None:
    """A trailer, heads and the beginning of a body, read at once: each of them is small."""
    receivers = await start_receivers(max_header_bytes=2048)
    reader, writer = await receivers.connect()
    chunk, end = b"%x\r\n%s\r\n" % (len(ONE_SPAN), ONE_SPAN), b"0\r\n\r\n"
    head = CHUNKED[:-2] + b"x: " + b"y" * 1000 + b"\r\n\r\n"
    writer.write(CHUNKED + chunk)
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == len(ONE_SPAN))
    writer.write(end + head + end + head)
    assert [await status(reader) for _ in range(2)] == [200, 200]
    writer.write(chunk + end)
    assert await status(reader) == 200
    writer.close()


async def test_heads_that_come_in_pieces_are_counted_for_each_request_by_itself(start_receivers: Any) -> None:
    receivers = await start_receivers(max_header_bytes=2048)
    reader, writer = await receivers.connect()
    for _ in range(3):
        for piece in (LINES + b"x: " + b"y" * 600, b"y" * 600 + b"\r\n", SIZED):
            writer.write(piece)
            await asyncio.sleep(0.01)
        assert await status(reader) == 200
    writer.close()


async def test_empty_lines_are_bounded_too(start_receivers: Any) -> None:
    receivers = await start_receivers(max_header_bytes=2048)
    reader, writer = await receivers.connect()
    writer.write(b"\r\n" * 20 + POST)
    assert await status(reader) == 200
    writer.write(b"\r\n" * 3000)
    assert await status(reader) == 431
    assert await closed(reader)
    writer.close()


async def test_nothing_puts_off_the_end_of_a_connection(start_receivers: Any) -> None:
    """Neither a sender that begins and leaves off to take its answers, nor one that sends on."""
    receivers = await start_receivers(header_timeout_s=0.3, body_timeout_s=30)
    reader, writer = await receivers.connect()
    (connection,) = receivers.http._connections._open
    writer.write(LINES.replace(b"host: x", b"connection: close") + b"content-length: 1000000\r\n")
    writer.write(b"content-type: text/plain\r\n\r\n")
    assert await status(reader) == 415
    connection.pause_writing()
    connection.resume_writing()
    writer.write(b"x" * 1000)
    connection.pause_writing()
    await receivers.until(lambda: receivers.http.connections == 0)
    writer.close()


async def test_an_answer_that_cannot_be_written_ends_the_connection(
    receivers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(Writer, "reply", broken)
    reader, writer = await receivers.connect()
    with capture_logs() as lines:
        writer.write(POST)
        assert await closed(reader)
    assert [line["event"] for line in lines] == ["an answer could not be written"]
    writer.close()


async def test_a_sender_that_hangs_up_with_requests_waiting_leaves_nothing_behind(receivers: Any) -> None:
    receivers.spool.hold = True
    _, writer = await receivers.connect()
    writer.write(POST + POST)
    await receivers.until(lambda: receivers.spool.held)
    writer.transport.abort()
    receivers.spool.hold = False
    receivers.spool.release()  # until then nothing is read, so nobody knows
    await receivers.until(lambda: receivers.http.connections == 0)
    await receivers.until(lambda: receivers.count("lowtide_collector_inflight_bytes") == 0)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/v1/traces?a=b", 200),
        (b"http://x:4318/v1/traces", 200),
        (b"/v1/%74races", 200),
        (b"/v1/traces%00", 404),
        (b"/v1/tr%ffaces", 404),
        (b"*", 404),
        (b"http://x", 404),
        (b"http://x?y", 404),
    ],
)
async def test_the_forms_a_target_may_have(receivers: Any, target: bytes, expected: int) -> None:
    reader, writer = await receivers.connect()
    writer.write(POST.replace(b"/v1/traces", target))
    assert await status(reader) == expected


async def test_a_defect_in_what_the_parser_calls_is_500_and_told(
    receivers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(http_exchange, "target_of", broken)
    reader, writer = await receivers.connect()
    with capture_logs() as lines:
        writer.write(POST)
        assert await status(reader) == 500
    assert await closed(reader)
    assert [line["event"] for line in lines] == ["an unexpected error refused a request"]
    assert isinstance(lines[0]["exc_info"], ZeroDivisionError)
    assert receivers.count("lowtide_collector_inflight_bytes") == 0
