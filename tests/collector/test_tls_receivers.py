"""OTLP over TLS, both transports: who a certificate lets in and who it does not, renewal under load, and the
way behind the gRPC server's TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc import status_pb2
from grpc import aio
from prometheus_client import CollectorRegistry

from collector.door import Arrival
from collector.tls import relay as relay_module
from collector.tls.gate import Tls
from collector.tls.telemetry import TlsTelemetry
from ingest.signals import Signal
from lowtide.serve.doors import otlp_door
from lowtide.tls.live import LiveTls
from lowtide.tls.settings import ClientRule, Demand, TlsSettings
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import Scope
from support import tokens
from support.certs import SHOP_URI, Pair, Pki

TRACES = Signal.TRACES
PATH = "/v1/traces"
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
RULES = (
    ClientRule(san=SHOP_URI, tenant="shop", scopes=("write",)),
    ClientRule(san="billing.internal", tenant="billing", scopes=(Scope.WRITE_LOGS, Scope.READ)),
)


@dataclass
class Secured:
    """Receivers over TLS, the files they use, and ways to send."""

    running: Any
    pki: Pki
    live: LiveTls
    settings: TlsSettings

    async def over_http(self, body: bytes, client: Pair | None, **headers: str) -> tuple[int, str]:
        """Status and message."""
        async with httpx2.AsyncClient(verify=self.pki.trust(client), trust_env=False, timeout=30) as http:
            answer = await http.post(
                f"https://127.0.0.1:{self.running.http_port}{PATH}",
                content=body,
                headers={"content-type": "application/x-protobuf", **headers},
            )
        text = "" if answer.status_code == 200 else status_pb2.Status.FromString(answer.content).message
        return answer.status_code, text

    async def over_grpc(self, body: bytes, client: Pair | None, **headers: str) -> tuple[Any, str]:
        """Code and message."""
        async with self.channel(client) as channel:
            call = channel.unary_unary(METHOD)(body, metadata=tuple(headers.items()), timeout=30)
            return await call.code(), await call.details()

    def channel(self, client: Pair | None) -> aio.Channel:
        return aio.secure_channel(
            f"127.0.0.1:{self.running.grpc_port}",
            self.pki.channel(client),
            options=[("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)],
        )

    @property
    def tenants(self) -> list[str]:
        return [tenant for _, tenant, _, _ in self.running.spool.stored]


@pytest.fixture
def body(make_request: Callable[[Signal, list[str]], bytes]) -> bytes:
    return make_request(TRACES, ["a"])


@pytest.fixture
def secure(start_receivers: Any, pki: Pki, tmp_path: Path) -> Callable[..., Any]:
    async def start(*, demand: Demand = Demand.OPTIONAL, rules: Any = RULES, **changed: Any) -> Secured:
        certificate, key, ca = (tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt"))
        for source, target in (
            (pki.server.certificate, certificate), (pki.server.key, key), (pki.senders.certificate, ca),
        ):  # fmt: skip
            shutil.copy(source, target)
        settings = TlsSettings(
            certificate=certificate, key=key, client_ca=ca, clients=rules, client_certificates=demand
        )
        registry = CollectorRegistry()
        live = LiveTls(settings, registry)
        door = otlp_door(LiveTokens(tmp_path, may_be_open=False), settings)
        running = await start_receivers(
            door=door, tls=Tls(live, TlsTelemetry(registry), 20.0), trust=pki.trust(), **changed
        )
        return Secured(running, pki, live, settings)

    return start


@pytest.fixture
async def secured(secure: Any) -> Secured:
    return await secure()


class TestCertificates:
    async def test_its_tenant_goes_with_what_was_sent(self, secured: Secured, body: bytes) -> None:
        assert (await secured.over_http(body, secured.pki.shop))[0] == 200
        assert (await secured.over_grpc(body, secured.pki.shop))[0] is grpc.StatusCode.OK
        assert secured.tenants == ["shop", "shop"]

    async def test_none_and_no_token(self, secured: Secured, body: bytes) -> None:
        status, message = await secured.over_http(body, None)
        code, detail = await secured.over_grpc(body, None)

        assert (status, code) == (401, grpc.StatusCode.UNAUTHENTICATED)
        assert "token" in message
        assert "token" in detail
        assert not secured.tenants

    async def test_one_whose_names_are_not_in_the_table(self, secured: Secured, body: bytes) -> None:
        """Also a name that only begins, or ends, like one that is, and a common name."""
        for number, (uris, dns) in enumerate(
            [
                ([], []),
                (["spiffe://test/ns/shop/sa/other"], []),
                ([f"{SHOP_URI}/x"], []),
                ([SHOP_URI.upper()], []),
                ([SHOP_URI.replace("shop", "sh%6fp")], []),
                ([], ["internal", "x.billing.internal", "billing.internal.example"]),
                ([], ["*.internal"]),
                (["https://billing.internal"], []),
                ([SHOP_URI], ["billing.internal"]),  # two tenants
            ]
        ):
            pair = secured.pki.senders.issue(f"unnamed-{number}", uris=uris, dns=dns)
            assert (await secured.over_http(body, pair))[0] == 401, (uris, dns)
        named = secured.pki.senders.issue("billing.internal")
        status, message = await secured.over_http(body, named)
        assert status == 401
        assert "tls.clients" in message
        assert "tls.clients" in (await secured.over_grpc(body, named))[1]
        assert not secured.tenants

    async def test_the_right_name_with_the_wrong_scope(self, secured: Secured, body: bytes) -> None:
        status, message = await secured.over_http(body, secured.pki.billing)
        code, detail = await secured.over_grpc(body, secured.pki.billing)

        assert (status, code) == (403, grpc.StatusCode.PERMISSION_DENIED)
        assert message == detail == "this certificate may not send traces: it has no scope write-traces"
        assert not secured.tenants

    async def test_of_another_ca_nothing_gets_through(self, secured: Secured, body: bytes) -> None:
        stranger = secured.pki.strangers.issue("stranger", uris=[SHOP_URI])
        with pytest.raises((httpx2.TransportError, ssl.SSLError)):
            await secured.over_http(body, stranger)
        assert (await secured.over_grpc(body, stranger))[0] is grpc.StatusCode.UNAVAILABLE
        assert not secured.tenants

    async def test_an_open_connection_does_not_outlive_its_certificate(
        self, secure: Any, body: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secured = await secure()
        door = secured.running.intake._door
        admitted = door.admit

        def later(arrival: Arrival) -> Any:
            assert arrival.certificate is not None
            ended = replace(arrival.certificate, not_after=arrival.certificate.not_after.replace(year=2020))
            return admitted(replace(arrival, certificate=ended))

        async with secured.channel(secured.pki.shop) as channel:
            export = channel.unary_unary(METHOD)
            assert await export(body, timeout=30) == b""
            monkeypatch.setattr(door, "admit", later)
            with pytest.raises(aio.AioRpcError) as caught:
                await export(body, timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert len(secured.tenants) == 1


class TestBoth:
    """A token and a certificate."""

    async def test_the_token_decides(self, secured: Secured, body: bytes, tmp_path: Path) -> None:
        """Its scopes, not those of the certificate, nor both together."""
        writer = tokens.make(tmp_path, Scope.WRITE_TRACES, tenant="billing")
        reader = tokens.make(tmp_path, Scope.READ, tenant="shop")
        pki = secured.pki

        async def both(token: str, pair: Pair) -> list[Any]:
            shown = {"authorization": f"Bearer {token}"}
            found = [(await secured.over_http(body, pair, **shown))[0]]
            return [*found, (await secured.over_grpc(body, pair, **shown))[0]]

        while (await both(writer, pki.billing))[0] == 401:  # noqa: ASYNC110 - the file is looked at again soon
            await asyncio.sleep(0.02)
        secured.running.spool.stored.clear()
        assert await both(writer, pki.billing) == [200, grpc.StatusCode.OK]
        assert secured.tenants == ["billing", "billing"]
        assert await both(reader, pki.shop) == [403, grpc.StatusCode.PERMISSION_DENIED]
        assert await both(writer, pki.shop) == [403, grpc.StatusCode.PERMISSION_DENIED]
        assert secured.tenants == ["billing", "billing"]

    @pytest.mark.parametrize("shown", ["Bearer lt_x", "Bearer", "", "Basic Zm9vOg==", "nonsense"])
    async def test_a_bad_token_does_not_fall_back_to_the_certificate(
        self, secured: Secured, body: bytes, shown: str
    ) -> None:
        pair = secured.pki.shop
        assert (await secured.over_http(body, pair, authorization=shown))[0] == 401
        code, _ = await secured.over_grpc(body, pair, authorization=shown)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert not secured.tenants

    async def test_a_revoked_one_neither(self, secured: Secured, body: bytes, tmp_path: Path) -> None:
        token = tokens.make(tmp_path, *tokens.WRITE, tenant="shop")
        tokens.revoke(tmp_path, token)
        status, _ = await secured.over_http(body, secured.pki.shop, authorization=f"Bearer {token}")
        assert status == 401

    async def test_a_token_alone_goes_on_working(self, secured: Secured, body: bytes, tmp_path: Path) -> None:
        shown = {"authorization": f"Bearer {tokens.make(tmp_path, *tokens.WRITE, tenant='acme')}"}
        while (await secured.over_http(body, None, **shown))[0] == 401:  # noqa: ASYNC110 - the file is looked at again soon
            await asyncio.sleep(0.02)
        assert (await secured.over_grpc(body, None, **shown))[0] is grpc.StatusCode.OK
        assert secured.tenants == ["acme", "acme"]


class TestRequired:
    """From this machine the handshake goes through without a certificate, for the owner's commands; the door
    lets nobody else in.
    """

    async def test_a_token_is_not_enough(self, secure: Any, body: bytes, tmp_path: Path) -> None:
        token = tokens.make(tmp_path, *tokens.WRITE, tenant="shop")
        shown = {"authorization": f"Bearer {token}"}
        secured = await secure(demand=Demand.REQUIRED)
        status, message = await secured.over_http(body, None, **shown)
        code, detail = await secured.over_grpc(body, None, **shown)

        assert (status, code) == (401, grpc.StatusCode.UNAUTHENTICATED)
        assert "certificate" in message
        assert "certificate" in detail
        assert "certificate" in (await secured.over_http(body, None))[1]
        assert (await secured.over_http(body, secured.pki.shop, **shown))[0] == 200
        unnamed = secured.pki.senders.issue("unnamed")
        assert (await secured.over_http(body, unnamed, **shown))[0] == 200

    async def test_the_owner_needs_none(self, secure: Any, body: bytes) -> None:
        secured = await secure(demand=Demand.REQUIRED)
        secret = secured.running.intake._door._keeper._tokens.own_secret

        assert (await secured.over_http(body, None, authorization=f"Bearer {secret}"))[0] == 200

    async def test_from_elsewhere_the_handshake_fails(
        self, secure: Any, body: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secured = await secure(demand=Demand.REQUIRED)
        monkeypatch.setattr("collector.tls.gate.is_from_here", lambda _: False)
        with pytest.raises((httpx2.TransportError, ssl.SSLError)):
            await secured.over_http(body, None)
        assert (await secured.over_grpc(body, None))[0] is grpc.StatusCode.UNAVAILABLE
        assert (await secured.over_http(body, secured.pki.shop))[0] == 200
        assert (await secured.over_grpc(body, secured.pki.shop))[0] is grpc.StatusCode.OK


class TestRenewal:
    async def test_under_load_nothing_is_lost_and_the_new_one_is_served(
        self, secured: Secured, make_request: Any
    ) -> None:
        """Senders over both transports, on old connections and new ones, while the files are replaced."""
        answered: list[Any] = []
        stop = asyncio.Event()

        async def send(number: int) -> None:
            count = 0
            async with secured.channel(secured.pki.shop) as channel:
                export = channel.unary_unary(METHOD)
                while not stop.is_set():
                    count += 1
                    body = make_request(TRACES, [f"{number}-{count}"])
                    answered.append(await export(body, timeout=30) == b"")
                    answered.append((await secured.over_http(body, secured.pki.shop))[0] == 200)

        senders = [asyncio.create_task(send(number)) for number in range(3)]
        await secured.running.until(lambda: len(answered) > 10)
        before = await self.served(secured)
        for source, target in (
            (secured.pki.renewed.certificate, secured.settings.certificate),
            (secured.pki.renewed.key, secured.settings.key),
        ):
            assert target is not None
            shutil.copy(source, target)
            await asyncio.to_thread(secured.live.look)  # once with a key that does not belong to it
        seen = len(answered)
        await secured.running.until(lambda: len(answered) > seen + 20)
        stop.set()
        await asyncio.gather(*senders)
        assert all(answered)
        assert len(secured.tenants) == len(answered)
        for after in (await self.served(secured), await self.served(secured, secured.running.grpc_port)):
            assert after == secured.pki.renewed.certificate.read_text()
        assert before == secured.pki.server.certificate.read_text()

    async def served(self, secured: Secured, port: int | None = None) -> str:
        """The certificate of a new connection."""
        at = ("127.0.0.1", port or secured.running.http_port)
        pem = await asyncio.to_thread(ssl.get_server_certificate, at)
        return pem if pem.endswith("\n") else f"{pem}\n"

    async def test_a_ca_that_was_taken_out_lets_nobody_in_any_more(
        self, secured: Secured, body: bytes
    ) -> None:
        """Nor does a session that was begun under it."""
        assert secured.settings.client_ca is not None
        trust = secured.pki.trust(secured.pki.shop)
        trust.maximum_version = ssl.TLSVersion.TLSv1_2  # where a session is known at once
        port = secured.running.http_port

        def connect(session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
                trust.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
            ):
                return secure.session, secure.session_reused

        session, _ = await asyncio.to_thread(connect, None)
        shutil.copy(secured.pki.strangers.certificate, secured.settings.client_ca)
        secured.live.look()
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(connect, session)
        stranger = secured.pki.strangers.issue("now-known", uris=[SHOP_URI])
        assert (await secured.over_http(body, stranger))[0] == 200


class TestRelay:
    """Behind TLS the gRPC server listens where everybody on the machine can connect."""

    async def test_who_gets_around_tls_is_nobody(self, secured: Secured, body: bytes, tmp_path: Path) -> None:
        token = tokens.make(tmp_path, *tokens.WRITE)
        address = secured.running.grpc._relay.address
        name = address.partition(":")[2]
        assert name in await asyncio.to_thread(Path("/proc/net/unix").read_text)  # it can be found
        async with aio.insecure_channel(address) as channel:
            for metadata in ((), (("authorization", f"Bearer {token}"),)):
                call = channel.unary_unary(METHOD)(body, metadata=metadata, timeout=30)
                assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not secured.tenants

    async def test_a_name_cannot_be_taken_over(self, secured: Secured, body: bytes) -> None:
        """While a connection lives its name is bound, and it is forgotten before it is free again."""
        relay = secured.running.grpc._relay
        async with secured.channel(secured.pki.shop) as channel:
            assert await channel.unary_unary(METHOD)(body, timeout=30) == b""
            (name,) = relay._peers
            with socket.socket(socket.AF_UNIX) as thief, pytest.raises(OSError, match="in use"):
                thief.bind(f"\0{name}")
        await secured.running.until(lambda: not relay._peers)
        assert not relay._ways

    async def test_a_large_message_and_many_at_a_time(self, secured: Secured, make_request: Any) -> None:
        large = make_request(TRACES, ["x" * 1000] * 3000)
        async with secured.channel(secured.pki.shop) as channel:
            export = channel.unary_unary(METHOD)
            bodies = [large if n % 10 == 0 else make_request(TRACES, [str(n)]) for n in range(60)]
            assert await asyncio.gather(*(export(each, timeout=60) for each in bodies)) == [b""] * 60
        assert sorted(body for _, _, body, _ in secured.running.spool.stored) == sorted(bodies)

    async def test_what_is_under_way_is_answered_before_the_end(self, secured: Secured, body: bytes) -> None:
        secured.running.spool.hold = True
        async with secured.channel(secured.pki.shop) as channel:
            call = channel.unary_unary(METHOD)(body, timeout=30)
            answer = asyncio.ensure_future(call)
            await secured.running.until(lambda: secured.running.spool.held)
            stopping = asyncio.create_task(secured.running.stop(10))
            await asyncio.sleep(0.05)
            secured.running.spool.release()
            assert await answer == b""
        await stopping

    async def test_where_the_server_takes_no_connection_the_client_is_hung_up_on(
        self, secured: Secured, body: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secured.running.grpc._relay, "_name", "lowtide-nobody-listens-here")

        assert (await secured.over_grpc(body, secured.pki.shop))[0] is grpc.StatusCode.UNAVAILABLE
        assert not secured.running.grpc._relay._peers

    async def test_elsewhere_than_on_linux_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay_module.sys, "platform", "darwin")
        with pytest.raises(relay_module.ListenError, match="OTLP/HTTP"):
            relay_module.Relay()


async def test_plain_text_to_grpc_is_told_why(secured: Secured, body: bytes) -> None:
    async with aio.insecure_channel(
        f"127.0.0.1:{secured.running.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        call = channel.unary_unary(METHOD)(body, timeout=30)
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert "HTTP status 400" in await call.details()


async def test_grpc_connections_count_before_their_handshake(secure: Any, body: bytes) -> None:
    secured = await secure(max_connections=2)
    silent = [await asyncio.open_connection("127.0.0.1", secured.running.grpc_port) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await secured.over_grpc(body, secured.pki.shop))[0] is grpc.StatusCode.UNAVAILABLE
    for _, writer in silent:
        writer.close()
        await writer.wait_closed()
    await secured.running.until(lambda: not secured.running.grpc._gate._open)
    assert (await secured.over_grpc(body, secured.pki.shop))[0] is grpc.StatusCode.OK


async def test_an_early_answer_reaches_a_sender_that_goes_on(secure: Any) -> None:
    """Over TLS as well nothing resets the connection before it is read."""
    secured = await secure(max_header_bytes=4096)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", secured.running.http_port, ssl=secured.pki.trust()
    )
    ended = asyncio.create_task(reader.read())
    writer.write(b"POST / HTTP/1.1\r\nx: " + b"y" * 5000)
    while not ended.done():
        writer.write(b"y" * 1000)
        await asyncio.sleep(0)
    assert (await ended).startswith(b"HTTP/1.1 431 ")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
