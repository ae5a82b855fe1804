"""What is said of a receiver that is not at work, not there, or not what it was taken for."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lowtide.conformance import making
from lowtide.conformance.catalogue import RULES, chosen
from lowtide.conformance.errors import TargetError, UnreachableError
from lowtide.conformance.rule import Level, Outcome, Rule
from lowtide.conformance.running import Run, run
from lowtide.conformance.target import Target, target
from support.otlp_receiver import Answer, Asked, Receiver, failure, grpc_failure

SOME = ("http.traces.protobuf", "http.gzip.protobuf", "http.bad.protobuf", "grpc.traces", "grpc.bad.protobuf")


async def check(receiver: Receiver, *ids: str, timeout_s: float = 20.0, **given: Any) -> Run:
    there = target(receiver.http, grpc=receiver.grpc, timeout_s=timeout_s, **given)
    return await run(there, chosen(ids or SOME))


def outcomes(done: Run) -> dict[str, str]:
    return {result.rule.id: result.outcome.value for result in done.results}


# Nothing to judge


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that is bound and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_nobody_listens(dead_port: int) -> None:
    with pytest.raises(UnreachableError, match=f"http://127.0.0.1:{dead_port}: no connection") as told:
        await run(target(f"http://127.0.0.1:{dead_port}"), chosen())
    assert "running" in str(told.value.hint)
    assert told.value.exit_code == 2


async def test_nobody_listens_for_grpc(dead_port: int) -> None:
    async with Receiver() as receiver:
        with pytest.raises(UnreachableError, match="gRPC") as told:
            await run(target(receiver.http, grpc=f"127.0.0.1:{dead_port}"), chosen())
    assert "4317" in str(told.value.hint)


async def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(UnreachableError, match="no connection"):
        await run(target("http://no-such-host.invalid:4318"), chosen())


async def test_no_answer_at_all() -> None:
    async with Receiver(lambda _, answer: replace(answer, silent=True)) as receiver:
        with pytest.raises(UnreachableError, match=r"no reply within 0\.2 s"):
            await check(receiver, timeout_s=0.2)


@asynccontextmanager
async def speaking(say: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """The port of a server that says something to whoever connects, and hangs up."""
    talks: list[asyncio.Task[Any]] = []

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        talks.append(talk)
        with contextlib.suppress(ConnectionError):
            await say(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*talks)


@pytest.mark.parametrize("rules", ["http", "grpc"])
async def test_what_answers_speaks_something_else(rules: str) -> None:
    """As a database or an SSH server would."""

    async def greet(writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n" * 4)
        await writer.drain()

    async with speaking(greet) as port:
        with pytest.raises(UnreachableError):
            await run(target(f"http://127.0.0.1:{port}", grpc=f"127.0.0.1:{port}"), chosen([rules]))


@pytest.mark.parametrize(
    ("http", "grpc", "hint"),
    [
        (failure(401, "who?"), grpc_failure(16, "who?"), "credentials"),
        (failure(403, "no"), grpc_failure(7, "no"), "credentials"),
        (failure(404, "nothing"), grpc_failure(12, "nothing"), "no OTLP receiver"),
        (failure(503, "later"), grpc_failure(14, "later"), "at the moment"),
        (failure(429, "later"), grpc_failure(14, "later"), "at the moment"),
    ],
)
@pytest.mark.parametrize("rules", ["http", "grpc"])
async def test_what_takes_nothing(http: Answer, grpc: Answer, hint: str, rules: str) -> None:
    async with Receiver(lambda asked, _: http if asked.transport == "http" else grpc) as receiver:
        with pytest.raises(UnreachableError) as told:
            await check(receiver, rules)
    assert hint in str(told.value.hint)


# Not at work for a moment, or from now on


class Moody:
    """Gives `odd` to what `hits`, and to the plain requests that follow it as long as `lasts`."""

    def __init__(self, odd: Answer, grpc_odd: Answer, *, lasts: int) -> None:
        self.odd, self.grpc_odd, self.left, self.lasts = odd, grpc_odd, 0, lasts

    def __call__(self, asked: Asked, answer: Answer) -> Answer:
        if asked.body == b"\xff\xff\xff":
            self.left = self.lasts
        if not self.left:
            return answer
        self.left -= 1
        return self.odd if asked.transport == "http" else self.grpc_odd


@pytest.mark.parametrize(
    ("odd", "grpc_odd"),
    [
        (failure(503, "busy"), grpc_failure(14, "busy")),
        (failure(429, "busy"), grpc_failure(8, "busy")),
        (failure(401, "expired"), grpc_failure(16, "expired")),
    ],
)
async def test_while_the_plain_request_is_put_off_too_nothing_is_judged(
    odd: Answer, grpc_odd: Answer
) -> None:
    async with Receiver(Moody(odd, grpc_odd, lasts=2)) as receiver:
        done = await check(receiver)

    assert outcomes(done) | {
        "http.bad.protobuf": "not judged",
        "grpc.bad.protobuf": "not judged",
    } == outcomes(done)
    assert "plain" in {r.rule.id: r.observed for r in done.results}["http.bad.protobuf"]
    assert (done.breaches, done.gone) == (0, ())


async def test_put_off_once_is_asked_again() -> None:
    """The control passes, and the second time all is well."""
    asked: list[Asked] = []

    def once(request: Asked, answer: Answer) -> Answer:
        if request.body == b"\xff\xff\xff" and not any(each.body == request.body for each in asked):
            asked.append(request)
            return failure(503, "busy") if request.transport == "http" else grpc_failure(14, "busy")
        return answer

    async with Receiver(once) as receiver:
        done = await check(receiver, "http.bad.protobuf", "http.bad.body")

    assert outcomes(done) == {"http.bad.protobuf": "pass", "http.bad.body": "pass"}


async def test_a_request_that_is_always_put_off_is_a_failure() -> None:
    def fault(asked: Asked, answer: Answer) -> Answer:
        if asked.body != b"\xff\xff\xff":
            return answer
        return failure(503, "busy") if asked.transport == "http" else grpc_failure(14, "busy")

    async with Receiver(fault) as receiver:
        done = await check(receiver)

    wrong = {name for name, outcome in outcomes(done).items() if outcome == "fail"}
    assert wrong == {"http.bad.protobuf", "grpc.bad.protobuf"}


@pytest.mark.parametrize("how", ["silent", "hang_up"])
async def test_a_request_that_gets_no_reply_is_a_failure_if_the_plain_one_gets_it(how: str) -> None:
    def fault(asked: Asked, answer: Answer) -> Answer:
        return replace(answer, **{how: True}) if asked.body == b"\xff\xff\xff" else answer

    async with Receiver(fault) as receiver:
        done = await check(receiver, timeout_s=0.5)

    wrong = {name for name, outcome in outcomes(done).items() if outcome == "fail"}
    assert wrong == {"http.bad.protobuf", "grpc.bad.protobuf"}
    assert done.gone == ()


async def test_a_receiver_that_dies_is_said_to_be_gone() -> None:
    async with Receiver() as receiver:
        deaths: list[asyncio.Task[None]] = []

        def fatal(asked: Asked, answer: Answer) -> Answer:
            if asked.body != b"\xff\xff\xff":
                return answer
            deaths.append(asyncio.create_task(receiver.die()))
            return replace(answer, silent=True)

        receiver.fault = fatal
        done = await check(receiver, timeout_s=5.0)

    assert outcomes(done) == {
        "http.traces.protobuf": "pass",
        "http.gzip.protobuf": "pass",
        "http.bad.protobuf": "not judged",
        "grpc.traces": "not judged",
        "grpc.bad.protobuf": "not judged",
    }
    assert [place.partition(":")[0] for place in done.gone] == ["http", "grpc"]
    assert done.breaches == 0


async def test_a_reply_without_end_is_cut() -> None:
    def fault(asked: Asked, answer: Answer) -> Answer:
        return replace(answer, body=bytes(5 * 1024 * 1024)) if asked.body == b"\xff\xff\xff" else answer

    async with Receiver(fault) as receiver:
        done = await check(receiver, "http.bad.protobuf")

    assert "more than 4194304 bytes" in done.results[0].observed


async def test_a_reply_that_comes_drop_by_drop_is_not_waited_for() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"a: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with speaking(drip) as port:
        with pytest.raises(UnreachableError, match="no reply within"):
            await run(target(f"http://127.0.0.1:{port}", timeout_s=0.1), chosen())


async def test_a_check_of_ours_that_breaks_is_an_outcome() -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("oops")

    rule = Rule("http.broken", Level.MUST, "none", "", "", making.protobuf(broken, lambda s: s.protobuf))
    async with Receiver() as receiver:
        done = await run(target(receiver.http), [rule, RULES[0]])

    assert [result.outcome for result in done.results] == [Outcome.UNJUDGED, Outcome.PASS]
    assert done.results[0].observed == "the check itself failed, please report it: RuntimeError: oops"


async def test_the_same_request_is_sent_once() -> None:
    async with Receiver() as receiver:
        await check(receiver, "http.bad", "grpc.bad")

    sent = [asked.transport for asked in receiver.asked if asked.body == b"\xff\xff\xff"]
    assert sent == ["http", "grpc"]


async def test_what_is_sent_is_small_and_names_itself() -> None:
    async with Receiver() as receiver:
        await run(target(receiver.http, grpc=receiver.grpc), chosen())

    assert max(len(asked.body) for asked in receiver.asked) < 4096
    assert len(receiver.asked) < 2 * len(RULES)
    records = [asked.body for asked in receiver.asked if b"conformance.check" in asked.body]
    assert records
    assert all(b"lowtide-conformance" in body for body in records)


async def test_headers_are_sent_with_everything() -> None:
    async with Receiver() as receiver:
        await check(receiver, headers=["Authorization=Bearer a=b", "x-tenant=shop"])

    assert {asked.headers.get("authorization") for asked in receiver.asked} == {"Bearer a=b"}
    assert {asked.headers.get("x-tenant") for asked in receiver.asked} == {"shop"}


async def test_the_base_address_may_have_a_path() -> None:
    def below(asked: Asked, answer: Answer) -> Answer:
        return (
            Answer(200, {"content-type": "application/x-protobuf"})
            if asked.path == "/otlp/v1/traces"
            else answer
        )

    async with Receiver(below) as receiver:
        done = await run(target(f"{receiver.http}/otlp/"), chosen(["http.traces.protobuf"]))

    assert outcomes(done) == {"http.traces.protobuf": "pass"}


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:4318",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:0",
        "http://u:p@x",
        "http://x?a=b",
    ],
)
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(TargetError):
        target(url)


@pytest.mark.parametrize("address", ["x:y", "http://x/path", ":4317", "grpc://x:1", "x:0"])
def test_grpc_addresses_that_cannot_be(address: str) -> None:
    with pytest.raises(TargetError):
        target("http://x", grpc=address)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("x", "http://x:4317"),
        ("x:1", "http://x:1"),
        ("https://x:1", "https://x:1"),
        ("[::1]:4317", "http://[::1]:4317"),
    ],
)
def test_grpc_addresses(given: str, shown: str) -> None:
    assert target("http://x", grpc=given).grpc_address == shown


@pytest.mark.parametrize("header", ["x", "=x", "a b=c", "a=b\nc: d", "content-type=x", "Host=x"])
def test_headers_that_cannot_be(header: str) -> None:
    with pytest.raises(TargetError) as told:
        target("http://x", headers=[header])
    assert "d" not in str(told.value).split()


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(target("http://x", headers=["Authorization=Bearer hunter2"]))


@pytest.mark.parametrize("pattern", ["nothing", "http.json.x", "HTTP"])
def test_patterns_that_match_nothing(pattern: str) -> None:
    with pytest.raises(TargetError, match=pattern):
        chosen([pattern])


def test_patterns() -> None:
    assert [rule.id for rule in chosen(["http.limit"])] == ["http.limit"]
    assert [rule.id for rule in chosen(["http.limit"], large=True)] == ["http.limit", "http.limit.status"]
    assert {rule.id for rule in chosen(["*.gzip", "http.json.null"])} == {
        "grpc.gzip", "http.json.null", "http.response.gzip"
    }  # fmt: skip
    assert not any(rule.large for rule in chosen())
    assert len({rule.id for rule in RULES}) == len(RULES)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=lowtide", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(path), "-out", f"{path}.crt"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def serving(certificate: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(list(protocols))
    return context


async def test_over_tls(certificate: Path) -> None:
    async with Receiver(tls=serving(certificate, "h2", "http/1.1")) as receiver:
        done = await check(receiver, ca=certificate)

    assert set(outcomes(done).values()) == {"pass"}


@pytest.mark.parametrize("rules", ["http", "grpc"])
async def test_a_certificate_that_nobody_vouches_for(certificate: Path, rules: str) -> None:
    async with Receiver(tls=serving(certificate, "h2", "http/1.1")) as receiver:
        with pytest.raises(UnreachableError, match="certificate"):
            await check(receiver, rules)


async def test_tls_without_http2(certificate: Path) -> None:
    async with Receiver(tls=serving(certificate, "http/1.1")) as receiver:
        with pytest.raises(UnreachableError, match="HTTP/2"):
            await check(receiver, "grpc", ca=certificate)


@pytest.mark.parametrize("rules", ["http", "grpc"])
async def test_tls_where_none_is_spoken(rules: str) -> None:
    async with Receiver() as receiver:
        there = Target(
            receiver.http.replace("http:", "https:"),
            ("127.0.0.1", int(receiver.grpc.rpartition(":")[2])),
            grpc_tls=True,
            timeout_s=0.5,
        )
        with pytest.raises(UnreachableError):
            await run(there, chosen([rules]))


@pytest.mark.parametrize("rules", ["http", "grpc"])
async def test_plain_text_where_tls_is_spoken(certificate: Path, rules: str) -> None:
    async with Receiver(tls=serving(certificate, "h2", "http/1.1")) as receiver:
        there = target(
            receiver.http.replace("https:", "http:"), grpc=receiver.grpc.replace("https:", "http:")
        )
        with pytest.raises(UnreachableError):
            await run(there, chosen([rules]))


def test_a_file_that_holds_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    for path in (tmp_path / "x.pem", tmp_path / "missing.pem"):
        with pytest.raises(TargetError, match=r"no file of certificates"):
            target("https://x", ca=path)
