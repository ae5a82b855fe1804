"""One TLS connection: bytes both ways whatever their size, the end, and every way a handshake can fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from collector.tls.certificate import CERTIFICATE, Certificate
from collector.tls.connection import TlsConnection
from collector.tls.gate import Gate, Tls
from collector.tls.plain import answer_to_plain_text
from collector.tls.telemetry import Listener, Reason, TlsTelemetry
from support.certs import SHOP_URI, Pair, Pki


class Echo(asyncio.Protocol):
    """Says what it hears, no faster than it is listened to."""

    def __init__(self) -> None:
        self.heard = 0
        self.certificate: Certificate | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.certificate = transport.get_extra_info(CERTIFICATE)

    def data_received(self, data: bytes) -> None:
        self.heard += len(data)
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@dataclass
class Served:
    """A listener whose connections are `inner`."""

    port: int
    gate: Gate
    registry: CollectorRegistry
    inner: list[Any] = field(default_factory=list)

    def failed(self, reason: Reason) -> float:
        name = "lowtide_tls_handshakes_failed_total"
        return self.registry.get_sample_value(name, {"listener": "api", "reason": reason}) or 0.0

    @property
    def failures(self) -> dict[str, float]:
        return {reason.value: count for reason in Reason if (count := self.failed(reason))}

    @property
    def open(self) -> float:
        return self.registry.get_sample_value("lowtide_tls_connections", {"listener": "api"}) or 0.0

    async def connect(self, trust: ssl.SSLContext | None = None) -> Any:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=trust)


def server_context(pki: Pki, pair: Pair, demand: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(pki.senders.certificate)
    context.verify_mode = demand
    return context


Serve = Callable[..., Any]


@pytest.fixture
async def serve(pki: Pki) -> AsyncIterator[Serve]:
    started: list[tuple[asyncio.Server, Gate]] = []

    async def start(
        inner: Callable[[], asyncio.Protocol] = Echo,
        *,
        demand: ssl.VerifyMode = ssl.CERT_OPTIONAL,
        max_connections: int = 10,
        handshake_s: float = 20.0,
    ) -> Served:
        context = server_context(pki, pki.server, demand)

        class Contexts:
            def context(self, listener: Listener, *, from_here: bool) -> ssl.SSLContext:
                assert from_here
                return context

        registry = CollectorRegistry()
        tls = Tls(Contexts(), TlsTelemetry(registry), handshake_s)
        gate = tls.gate(Listener.API, max_connections=max_connections)
        served = Served(0, gate, registry)

        def connection() -> asyncio.Protocol:
            served.inner.append(inner())
            return gate.protocol(served.inner[-1])

        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        served.port = server.sockets[0].getsockname()[1]
        started.append((server, gate))
        return served

    yield start
    for server, gate in started:
        server.close()
        gate.close()
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.002)


async def left(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_much_goes_both_ways_at_once(serve: Serve, pki: Pki, version: ssl.TLSVersion) -> None:
    served, trust = await serve(), pki.trust(pki.shop)
    trust.minimum_version = trust.maximum_version = version
    reader, writer = await served.connect(trust)
    sent = os.urandom(5_000_000)

    async def send() -> None:
        for begin in range(0, len(sent), 70_001):
            writer.write(sent[begin : begin + 70_001])
            await writer.drain()

    sending = asyncio.create_task(send())
    assert await reader.readexactly(len(sent)) == sent
    await sending
    assert served.inner[0].certificate.uris == {SHOP_URI}
    await left(writer)
    await served.inner[0].lost.wait()
    assert (served.open, served.failures) == (0, {})


async def test_one_byte_at_a_time(serve: Serve, pki: Pki) -> None:
    """The handshake and what follows, cut in the smallest pieces."""
    served = await serve()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pki.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await served.connect()

    async def step(action: Callable[[], Any]) -> Any:
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                pass
            finally:
                for byte in outgoing.read():
                    writer.write(bytes([byte]))
                    await writer.drain()
            incoming.write(await reader.read(65536))

    await step(client.do_handshake)
    await step(lambda: client.write(b"hello"))
    assert await step(lambda: client.read(100)) == b"hello"
    await left(writer)


async def test_who_does_not_read_stops_who_writes(serve: Serve, pki: Pki) -> None:
    """Neither the backlog nor the network's buffer grows with what a peer does not take."""
    most = []

    class Watched(Echo):
        def pause_writing(self) -> None:
            super().pause_writing()
            most.append(self.transport.get_write_buffer_size())

    served = await serve(Watched)
    reader, writer = await served.connect(pki.trust())
    piece = bytes(200_000)

    async def send() -> None:
        while True:
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(send())
    await until(lambda: most)
    heard = -1
    while heard != served.inner[0].heard:
        heard = served.inner[0].heard
        await asyncio.sleep(0.05)
    assert max(most) < 2_000_000
    received = 0
    while received < heard:
        received += len(await reader.read(2**20))
    sending.cancel()
    writer.transport.abort()
    await served.inner[0].lost.wait()


async def test_what_was_written_arrives_before_the_end(serve: Serve, pki: Pki) -> None:
    """Although the client goes on sending, which must not reset the connection."""

    class Farewell(Echo):
        def data_received(self, data: bytes) -> None:
            self.transport.write(bytes(3_000_000))
            self.transport.write_eof()
            self.transport.write(b"too late")

    served = await serve(Farewell)

    def ask() -> int:
        with (
            socket.create_connection(("127.0.0.1", served.port), timeout=30) as plain,
            pki.trust().wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False
            ) as secured,
        ):
            secured.sendall(b"go")
            got = 0
            while piece := secured.recv(2**16):
                got += len(piece)
                secured.sendall(b"x" * 1000)
            return got

    assert await asyncio.to_thread(ask) == 3_000_000
    await served.inner[0].lost.wait()


async def test_an_idle_connection_is_closed_without_the_clients_help(serve: Serve, pki: Pki) -> None:
    """Clients that keep connections do not look at them meanwhile, and a server that stops cannot wait."""

    def silent() -> socket.socket:
        return pki.trust().wrap_socket(
            socket.create_connection(("127.0.0.1", served.port)), server_hostname="localhost"
        )

    served = await serve()
    client = await asyncio.to_thread(silent)
    await until(lambda: served.inner and hasattr(served.inner[0], "transport"))
    served.inner[0].transport.close()
    await asyncio.wait_for(served.inner[0].lost.wait(), 10)
    client.close()


async def test_a_protocol_that_pauses_at_once_misses_nothing(serve: Serve, pki: Pki) -> None:
    class Later(Echo):
        paused = True

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()
            asyncio.get_running_loop().call_later(0.02, self.go_on)

        def go_on(self) -> None:
            self.paused = False
            self.transport.resume_reading()

        def data_received(self, data: bytes) -> None:
            assert not self.paused
            super().data_received(data)

    served = await serve(Later)
    reader, writer = await served.connect(pki.trust())
    writer.write(b"early")
    assert await reader.readexactly(5) == b"early"
    await left(writer)


async def test_the_end_is_told_as_tls_wants_it(serve: Serve, pki: Pki) -> None:
    """So that a client can tell the end of an answer from a connection that was cut."""

    class Brief(Echo):
        def data_received(self, data: bytes) -> None:
            self.transport.writelines([b"b", bytearray(b"y"), memoryview(b"e")])
            self.transport.close()

    served = await serve(Brief)

    def ask() -> bytes:
        trust = pki.trust()
        with (
            socket.create_connection(("127.0.0.1", served.port)) as plain,
            trust.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as secured,
        ):
            secured.sendall(b"x")
            return secured.recv(10) + secured.recv(10)

    assert await asyncio.to_thread(ask) == b"bye"


async def test_garbage_after_the_handshake_ends_the_connection(serve: Serve, pki: Pki) -> None:
    served = await serve()

    def ask() -> str:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = pki.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as plain:
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    piece = plain.recv(2**16)
                    assert piece, "it hung up in the middle of the handshake"
                    incoming.write(piece)
            plain.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32))
            with contextlib.suppress(ConnectionResetError):
                while piece := plain.recv(2**16):
                    incoming.write(piece)
        incoming.write_eof()
        try:
            return repr(client.read())
        except ssl.SSLError as error:
            return error.reason

    # No byte of what is inside: the alert, or the connection's end where that came first.
    assert await asyncio.to_thread(ask) in {"SSLV3_ALERT_BAD_RECORD_MAC", "UNEXPECTED_EOF_WHILE_READING"}
    await served.inner[0].lost.wait()
    assert served.inner[0].heard == 0


class TestHandshakes:
    """Those that fail are counted by why, told to the client, and never reach the protocol inside."""

    async def refused(self, served: Served, trust: ssl.SSLContext) -> str:
        """What the client learns: the alert."""

        def ask() -> str:
            with socket.create_connection(("127.0.0.1", served.port), timeout=30) as plain:
                try:
                    with trust.wrap_socket(plain, server_hostname="localhost") as secured:
                        secured.sendall(b"x" * 1000)
                        return repr(secured.recv(1))
                except ssl.SSLError as error:
                    return str(error.reason)

        told = await asyncio.to_thread(ask)
        await until(lambda: served.open == 0)
        assert not any(hasattr(one, "transport") for one in served.inner)
        return told

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_no_certificate_where_one_is_demanded(
        self, serve: Serve, pki: Pki, version: ssl.TLSVersion
    ) -> None:
        served, trust = await serve(demand=ssl.CERT_REQUIRED), pki.trust()
        trust.minimum_version = trust.maximum_version = version

        told = await self.refused(served, trust)

        assert told in {"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE"}
        assert served.failures == {"certificate": 1}

    async def test_certificates_that_lead_nowhere(self, serve: Serve, pki: Pki) -> None:
        """Self-signed, of another CA, of the CA of the servers, and one that merely names our CA."""
        impostor = type(pki.senders).make(pki.folder / "impostor", "senders")
        served = await serve()
        for number, pair in enumerate(
            [
                Pair(pki.strangers.certificate, pki.strangers.key),
                pki.strangers.issue("stranger", uris=[SHOP_URI]),
                pki.servers.issue("of-servers", uris=[SHOP_URI]),
                impostor.issue("shop", uris=[SHOP_URI]),
            ],
            1,
        ):
            told = await self.refused(served, pki.trust(pair))
            assert "ALERT" in told
            assert served.failures == {"certificate": number}

    async def test_one_that_has_expired(self, serve: Serve, pki: Pki) -> None:
        served = await serve()
        expired = pki.senders.issue("expired", uris=[SHOP_URI], expired=True)

        assert await self.refused(served, pki.trust(expired)) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
        assert served.failures == {"certificate": 1}

    async def test_one_that_is_for_servers_only(self, serve: Serve, pki: Pki) -> None:
        served = await serve()
        wrong = pki.senders.issue("for-servers", uris=[SHOP_URI], usage="serverAuth")

        assert "ALERT" in await self.refused(served, pki.trust(wrong))
        assert served.failures == {"certificate": 1}

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    async def test_old_versions(self, serve: Serve, pki: Pki, version: ssl.TLSVersion) -> None:
        served, trust = await serve(), pki.trust()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is what it is about
            trust.minimum_version = trust.maximum_version = version
        trust.set_ciphers("ALL:@SECLEVEL=0")

        assert await self.refused(served, trust) == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert served.failures == {"no_common_ground": 1}

    async def test_no_cipher_in_common(self, serve: Serve, pki: Pki) -> None:
        served, trust = await serve(), pki.trust()
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        trust.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the server's key is no RSA key

        assert "ALERT_HANDSHAKE_FAILURE" in await self.refused(served, trust)
        assert served.failures == {"no_common_ground": 1}

    async def test_a_client_that_does_not_believe_the_server(self, serve: Serve) -> None:
        served = await serve()

        assert await self.refused(served, ssl.create_default_context()) == "CERTIFICATE_VERIFY_FAILED"
        assert served.failures == {"refused_us": 1}

    @pytest.mark.parametrize(
        "sent", [b"\x16", b"\x16\x03\x01\x40\x00\x01", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"]
    )
    async def test_one_that_hangs_up_or_speaks_nonsense(self, serve: Serve, sent: bytes) -> None:
        served = await serve()
        _, writer = await served.connect()
        writer.write(sent)
        await writer.drain()
        await left(writer)
        await until(lambda: served.failures and served.open == 0)

        assert served.failures in ({"gone": 1}, {"broken": 1})

    @pytest.mark.parametrize("sent", [b"", b"\x16\x03", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
    async def test_one_that_does_not_get_on(self, serve: Serve, sent: bytes) -> None:
        served = await serve(handshake_s=0.1)
        reader, writer = await served.connect()
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        await left(writer)

        assert served.failures == {"slow": 1}
        assert served.open == 0

    async def test_one_that_drips_for_ever(self, serve: Serve) -> None:
        """The time counts from connecting, not from the last byte."""
        served = await serve(handshake_s=0.2)
        reader, writer = await served.connect()
        writer.write(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(b"\x00")
            await asyncio.sleep(0.01)
        ended.exception()
        await left(writer)

        assert served.failures == {"slow": 1}


class TestPlainText:
    @pytest.mark.parametrize(
        "sent",
        [
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST /v1/traces HTTP/1.1\r\n" + bytes(500_000),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
        ids=["GET", "POST", "HTTP/2"],
    )
    async def test_http_is_told_in_its_own_words(self, serve: Serve, sent: bytes) -> None:
        served = await serve()
        reader, writer = await served.connect()
        writer.write(sent)
        answer = await reader.read()
        await left(writer)

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"https://\n")
        await until(lambda: served.open == 0)
        assert served.failures == {"plain_text": 1}

    @pytest.mark.parametrize("sent", [b"\x00", b"hello\r\n", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x00\x02"])
    async def test_anything_else_is_told_nothing(self, serve: Serve, sent: bytes) -> None:
        served = await serve()
        reader, writer = await served.connect()
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        await left(writer)

        assert served.failures == {"plain_text": 1}

    async def test_who_does_not_hang_up_is_hung_up_on(self, serve: Serve) -> None:
        served = await serve(handshake_s=0.1)
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read()
        await until(lambda: served.open == 0)
        await left(writer)

        assert served.failures == {"plain_text": 1}

    def test_the_answer_is_short_whatever_was_said(self) -> None:
        assert len(answer_to_plain_text(b"GET " + bytes(100_000))) < 250


class TestLimits:
    async def test_connections_count_before_their_handshake(self, serve: Serve, pki: Pki) -> None:
        served = await serve(max_connections=3)
        silent = [await served.connect() for _ in range(3)]
        await until(lambda: served.open == 3)

        with pytest.raises((ConnectionError, ssl.SSLError)):
            await served.connect(pki.trust())
        assert served.failures == {"crowded": 1}
        assert served.open == 3

        for _, writer in silent:
            await left(writer)
        await until(lambda: served.open == 0)
        _, writer = await served.connect(pki.trust())
        await left(writer)

    async def test_a_flood_of_bad_handshakes_does_not_fill_the_log(self, serve: Serve, pki: Pki) -> None:
        served = await serve()
        with capture_logs() as lines:
            for _ in range(30):
                reader, writer = await served.connect()
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await reader.read()
                await left(writer)
                _, writer = await served.connect()
                await left(writer)
                await until(lambda: served.open == 0)

        assert served.failed(Reason.PLAIN_TEXT) == 30
        assert served.failed(Reason.GONE) == 30
        assert [line["log_level"] for line in lines] == ["warning"]
        assert lines[0]["peer"] == "127.0.0.1"

    async def test_later_the_log_says_how_many_there_were(self, pki: Pki) -> None:
        seconds = [0.0]
        telemetry = TlsTelemetry(CollectorRegistry())
        gate = Gate(
            Listener.API, None, telemetry, max_connections=1, handshake_s=1, clock=lambda: seconds[0]  # type: ignore[arg-type]  # never asked
        )  # fmt: skip
        transport = asyncio.Transport({"peername": ("192.0.2.1", 5)})
        with capture_logs() as lines:
            for _ in range(5):
                gate.failed(Reason.BROKEN, transport)
            seconds[0] = 61.0
            gate.failed(Reason.BROKEN, transport, "unexpected message")

        assert [(line["untold"], line["detail"]) for line in lines] == [(0, None), (4, "unexpected message")]

    async def test_an_idle_connection_holds_little(self, serve: Serve, pki: Pki) -> None:
        """What asyncio's own would take for itself is 256 KiB each."""
        import tracemalloc

        served = await serve(max_connections=100)
        trust = pki.trust()
        first = await served.connect(trust)
        tracemalloc.start()
        try:
            before = _held()
            inside = [TlsConnection(Echo(), served.gate) for _ in range(50)]
            assert (_held() - before) / len(inside) < 8192
        finally:
            tracemalloc.stop()
        await left(first[1])

    async def test_who_makes_the_server_talk_and_never_listens_is_cut_off(self, pki: Pki) -> None:
        """TLS itself answers some messages; a stub stands for a peer that sends those and reads nothing."""

        class Deaf(asyncio.Transport):
            size = 0
            aborted = False

            def get_write_buffer_size(self) -> int:
                return self.size

            def write(self, data: Any) -> None:
                self.size += len(data)

            def abort(self) -> None:
                self.aborted = True

            def is_closing(self) -> bool:
                return self.aborted

        class Contexts:
            def context(self, listener: Listener, *, from_here: bool) -> ssl.SSLContext:
                assert not from_here
                return server_context(pki, pki.server)

        gate = Tls(Contexts(), TlsTelemetry(CollectorRegistry()), 20).gate(Listener.API, max_connections=1)
        connection, deaf = (
            gate.protocol(Echo()),
            Deaf({"peername": ("192.0.2.1", 5), "sockname": ("192.0.2.2", 6)}),
        )
        connection.connection_made(deaf)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = pki.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        deaf.size = 2**20
        connection.data_received(outgoing.read())

        assert deaf.aborted
        connection.connection_lost(None)


def _held() -> int:
    import tracemalloc

    return tracemalloc.get_traced_memory()[0]
