"""Attacks on the door of OTLP, over both transports: nothing gets in, nothing of a body is read before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import grpc
import pytest
from google.rpc import status_pb2

from ingest.signals import Signal
from lowtide.serve.doors import otlp_door
from lowtide.tls.settings import TlsSettings
from lowtide.tokens.file import FILE_NAME
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import Scope, id_of, mint
from support import tokens
from support.http_wire import LINES

PATH = "/v1/traces"
TRACES = Signal.TRACES


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def token(data: Path) -> str:
    return tokens.make(data, *tokens.WRITE, tenant="acme")


@pytest.fixture
async def guarded(start_receivers: Any, data: Path, token: str) -> Any:
    return await start_receivers(door=otlp_door(LiveTokens(data, may_be_open=True), TlsSettings()))


@pytest.fixture
def body(make_request: Callable[[Signal, list[str]], bytes]) -> bytes:
    return make_request(TRACES, ["a"])


def bearer(token: str) -> str:
    return f"Bearer {token}"


async def grpc_code(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("signal", list(Signal))
async def test_its_tenant_goes_with_what_was_sent(
    guarded: Any, token: str, signal: Signal, make_request: Any
) -> None:
    body = make_request(signal, ["a"])
    response = await guarded.post(f"/v1/{signal}", body, authorization=bearer(token))
    await guarded.export(signal, body, metadata=(("authorization", bearer(token)),))

    assert response.status_code == 200
    assert [(each[0], each[1]) for each in guarded.spool.stored] == [(signal, "acme")] * 2


WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda token: "",
    "scheme only": lambda token: "Bearer",
    "no scheme": lambda token: token,
    "wrong scheme": lambda token: f"Token {token}",
    "basic": lambda token: f"Basic {token}",
    "unknown": lambda token: bearer(mint()[1]),
    "another secret": lambda token: bearer(f"lt_{id_of(token)}_{mint()[1].rpartition('_')[2]}"),
    "cut": lambda token: bearer(token[:-1]),
    "longer": lambda token: bearer(token + "a"),
    "two in one": lambda token: f"{bearer(token)}, {bearer(token)}",
    "two tokens": lambda token: f"Bearer {token} {token}",
    "quoted": lambda token: f'Bearer "{token}"',
    "upper case": lambda token: bearer(token.upper()),
    "oversized": lambda token: bearer(token * 300),
    "tab": lambda token: f"Bearer\t{token}",
}


@pytest.mark.parametrize("kind", WRONG)
async def test_over_http_it_is_401(guarded: Any, token: str, body: bytes, kind: str) -> None:
    response = await guarded.post(PATH, body, authorization=WRONG[kind](token))

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="Lowtide"'
    status = status_pb2.Status.FromString(response.content)
    assert status.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert token not in response.text
    assert not guarded.spool.stored
    assert (
        guarded.count("lowtide_collector_requests_total", signal="traces", transport="http", code="401") == 1
    )


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "tab"])
async def test_over_grpc_it_is_unauthenticated(guarded: Any, token: str, body: bytes, kind: str) -> None:
    metadata = (("authorization", WRONG[kind](token)),)

    assert await grpc_code(guarded.export(TRACES, body, metadata=metadata)) is grpc.StatusCode.UNAUTHENTICATED
    assert not guarded.spool.stored


async def test_without_any_header(guarded: Any, body: bytes) -> None:
    json = await guarded.post(PATH, b"{}", kind="application/json")

    assert (await guarded.post(PATH, body)).status_code == 401
    assert json.status_code == 401
    assert json.json()["code"] == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert await grpc_code(guarded.export(TRACES, body)) is grpc.StatusCode.UNAUTHENTICATED
    assert (
        guarded.count(
            "lowtide_collector_requests_total", signal="traces", transport="grpc", code="UNAUTHENTICATED"
        )
        == 1
    )


async def test_the_scheme_may_be_written_in_any_case(guarded: Any, token: str, body: bytes) -> None:
    assert (await guarded.post(PATH, body, authorization=f"bearer {token}")).status_code == 200
    assert (await guarded.post(PATH, body, authorization=f"BEARER  {token}")).status_code == 200


async def raw(guarded: Any, head: list[str], body: bytes = b"") -> bytes:
    """A request written by hand; the whole answer."""
    reader, writer = await guarded.connect()
    lines = [
        "POST /v1/traces HTTP/1.1", "host: a", "content-type: application/x-protobuf",
        f"content-length: {len(body)}", "connection: close", *head,
    ]  # fmt: skip
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    return bytes(await reader.read())


async def test_the_header_given_twice_is_refused(guarded: Any, token: str, body: bytes) -> None:
    one = f"authorization: {bearer(token)}"

    assert b" 200 " in await raw(guarded, [one], body)
    for other in (one, "authorization: Bearer x", "Authorization: x", "AUTHORIZATION:"):
        assert b" 401 " in await raw(guarded, [one, other], body), other
        assert b" 401 " in await raw(guarded, [other, one], body), other
    for blank in ("authorization:", "authorization: ", "authorization: Bearer ", "authorization: Bearer  "):
        assert b" 401 " in await raw(guarded, [blank], body), blank
    twice = (("authorization", bearer(token)), ("authorization", bearer(token)))
    assert await grpc_code(guarded.export(TRACES, body, metadata=twice)) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x0b", "\x1f", "\x7f", "\x80", "\xa0", "\xff"])
async def test_control_characters_open_nothing(guarded: Any, token: str, body: bytes, character: str) -> None:
    for header in (f"Bearer {token}{character}", f"Bearer {character}{token}", f"Bearer{character}{token}"):
        answer = await raw(guarded, [f"authorization: {header}"], body)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 ")), answer
    assert not guarded.spool.stored


async def test_a_folded_header_opens_nothing(guarded: Any, token: str, body: bytes) -> None:
    answer = await raw(guarded, ["authorization: Bearer", f" {token}"], body)

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    assert not guarded.spool.stored


async def test_the_url_is_no_place_for_a_token(guarded: Any, token: str, body: bytes) -> None:
    for query in (
        f"token={token}",
        f"access_token={token}",
        f"authorization=Bearer%20{token}",
        f"api_key={token}",
    ):
        assert (await guarded.post(f"{PATH}?{query}", body)).status_code == 401
    user = f"http://lowtide:{token}@127.0.0.1:{guarded.http_port}{PATH}"
    assert (await guarded.post(user, body)).status_code == 401


@pytest.mark.parametrize(
    "name", ["x-lowtide-tenant", "x-scope-orgid", "x-tenant", "tenant", "x-forwarded-user", "lowtide.tenant"]
)
async def test_nothing_else_names_a_tenant(guarded: Any, token: str, body: bytes, name: str) -> None:
    """Neither a header, nor metadata, nor the URL, nor another authorization beside."""
    await guarded.post(
        f"{PATH}?tenant=victim", body, authorization=bearer(token),
        **{name: "victim", "proxy-authorization": bearer(mint()[1])},
    )  # fmt: skip
    metadata = (("authorization", bearer(token)), (name, "victim"), ("authorization-bin", b"x"))
    await guarded.export(TRACES, body, metadata=metadata)

    assert [tenant for _, tenant, _, _ in guarded.spool.stored] == ["acme", "acme"]


@pytest.mark.parametrize("signal", list(Signal))
async def test_a_scope_is_for_one_signal(guarded: Any, data: Path, signal: Signal, make_request: Any) -> None:
    other = {Scope.WRITE_TRACES, Scope.WRITE_METRICS, Scope.WRITE_LOGS} - {Scope(f"write-{signal}")}
    wrong = tokens.make(data, *other, Scope.READ, Scope.QUERY, Scope.ADMIN)
    body = make_request(signal, ["a"])

    async def forbidden() -> bool:
        response = await guarded.post(f"/v1/{signal}", body, authorization=bearer(wrong))
        return bool(response.status_code == 403)

    while not await forbidden():  # noqa: ASYNC110 - the file is looked at again soon
        await asyncio.sleep(0.01)
    response = await guarded.post(f"/v1/{signal}", body, authorization=bearer(wrong))
    status = status_pb2.Status.FromString(response.content)
    assert status.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert f"write-{signal}" in status.message
    assert "www-authenticate" not in response.headers
    call = guarded.export(signal, body, metadata=(("authorization", bearer(wrong)),))
    assert await grpc_code(call) is grpc.StatusCode.PERMISSION_DENIED
    assert not guarded.spool.stored


@pytest.mark.parametrize(
    ("path", "kind", "scope"),
    [
        ("/api/v1/write", "application/x-protobuf", Scope.WRITE_METRICS),
        ("/api/v2/spans", "application/json", Scope.WRITE_TRACES),
        ("/api/traces", "application/x-thrift", Scope.WRITE_TRACES),
        ("/lambda/telemetry", "application/json", Scope.WRITE_LOGS),
    ],
)
async def test_other_protocols_ask_for_the_scope_of_their_signal(
    guarded: Any, data: Path, make_request: Any, path: str, kind: str, scope: Scope
) -> None:
    """Before the body is read: 60 MB are announced and none of them sent."""
    others = {Scope.WRITE_TRACES, Scope.WRITE_METRICS, Scope.WRITE_LOGS} - {scope}
    wrong, right = tokens.make(data, *others, Scope.ADMIN), tokens.make(data, scope, tenant="globex")

    async def status(token: str) -> bytes:
        reader, writer = await guarded.connect()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\nauthorization: {bearer(token)}\r\n"
        )
        writer.write(f"{head}content-length: 60000000\r\n\r\n".encode())
        try:
            return (await asyncio.wait_for(reader.readline(), 1)).split()[1]
        except TimeoutError:
            return b"waits for the body"
        finally:
            writer.close()

    while await status(wrong) != b"403":  # noqa: ASYNC110 - the file is looked at again soon
        await asyncio.sleep(0.01)
    assert await status(right) in (b"waits for the body", b"413")
    assert not guarded.spool.stored
    signal = Signal(scope.removeprefix("write-"))
    sent = bytes(cramjam.snappy.compress_raw(make_request(signal, ["a"])))
    headers = {"authorization": bearer(right), "content_encoding": "snappy"}
    assert (await guarded.post(path, sent, kind=kind, **headers)).is_success
    assert [(signal, "globex")] == [stored[:2] for stored in guarded.spool.stored]


async def test_a_revoked_token_ends_on_open_connections(
    guarded: Any, data: Path, token: str, body: bytes
) -> None:
    """Over one kept-alive HTTP/1.1 connection and one gRPC channel, both used before."""
    reader, writer = await guarded.connect()
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n"
        f"authorization: {bearer(token)}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()

    async def over_http() -> bytes:
        writer.write(head + body)
        answer: bytes = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        return answer.split(b" ")[1]

    async def over_grpc() -> grpc.StatusCode:
        return await grpc_code(guarded.export(TRACES, body, metadata=(("authorization", bearer(token)),)))

    assert (await over_http(), await over_grpc()) == (b"200", grpc.StatusCode.OK)
    tokens.revoke(data, token)
    while await over_http() == b"200":  # noqa: ASYNC110 - the file is looked at again soon
        await asyncio.sleep(0.01)

    assert await over_http() == b"401"
    assert await over_grpc() is grpc.StatusCode.UNAUTHENTICATED
    stored = len(guarded.spool.stored)
    await over_http()
    assert len(guarded.spool.stored) == stored


async def test_the_answer_comes_before_the_body(guarded: Any) -> None:
    """60 MB are announced and none of them sent: nothing is waited for, nothing is held."""
    reader, writer = await guarded.connect()
    writer.write(LINES + b"content-length: 60000000\r\n\r\n")

    assert b" 401 " in await reader.readline()
    assert guarded.count("lowtide_collector_inflight_bytes") == 0


async def test_a_body_sent_all_the_same_is_thrown_away(guarded: Any, token: str, body: bytes) -> None:
    """And what comes after it on the connection is a request of its own, not part of it."""
    reader, writer = await guarded.connect()
    smuggled = f"POST {PATH} HTTP/1.1\r\nhost: a\r\nauthorization: {bearer(token)}\r\n\r\n".encode()
    unread = smuggled + b"x" * 100_000
    head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n"
    writer.write(f"{head}content-length: {len(unread)}\r\n\r\n".encode() + unread)
    writer.write(f"{head}authorization: {bearer(token)}\r\ncontent-length: {len(body)}\r\n".encode())
    writer.write(b"connection: close\r\n\r\n" + body)

    answers = (await reader.read()).split(b"HTTP/1.1 ")[1:]

    assert [answer[:3] for answer in answers] == [b"401", b"200"]
    assert len(guarded.spool.stored) == 1


async def test_a_body_in_two_lengths_is_refused(guarded: Any, token: str, body: bytes) -> None:
    """What a proxy in front might read otherwise than we do."""
    for extra in (["transfer-encoding: chunked"], ["content-length: 5"]):
        answer = await raw(guarded, [f"authorization: {bearer(token)}", *extra], body)
        assert answer.startswith(b"HTTP/1.1 400 ")
    assert not guarded.spool.stored


async def test_a_grpc_message_is_not_waited_for(guarded: Any) -> None:
    """The call is refused while its message is still to come."""
    call = guarded.channel.stream_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")()

    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_tokens_that_cannot_be_read_are_worth_another_try(
    guarded: Any, data: Path, token: str, body: bytes
) -> None:
    """Nobody gets in, and no sender drops its data for it."""
    (data / FILE_NAME).write_bytes(b"{")

    async def answered() -> int:
        return int((await guarded.post(PATH, body, authorization=bearer(token))).status_code)

    while await answered() == 200:  # noqa: ASYNC110 - the file is looked at again soon
        await asyncio.sleep(0.01)
    response = await guarded.post(PATH, body, authorization=bearer(token))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    call = guarded.export(TRACES, body, metadata=(("authorization", bearer(token)),))
    assert await grpc_code(call) is grpc.StatusCode.UNAVAILABLE


async def test_no_token_is_ever_logged(
    guarded: Any, data: Path, token: str, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    for shown in (token, mint()[1], token + "x"):
        await guarded.post(PATH, body, authorization=bearer(shown))
        await grpc_code(guarded.export(TRACES, body, metadata=(("authorization", bearer(shown)),)))
    (data / FILE_NAME).write_bytes(b"{")
    while (await guarded.post(PATH, body, authorization=bearer(token))).status_code != 503:  # noqa: ASYNC110 - the file is looked at again soon
        await asyncio.sleep(0.01)

    captured = capsys.readouterr()
    assert not re.search(r"\blt_", captured.out + captured.err)
