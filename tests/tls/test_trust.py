"""Whom our own commands believe: their own server by its digest, others by CAs. Never anybody else, and
nothing is said before that is known.
"""

from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lowtide.demo.sending import Sender, SendError
from lowtide.demo.server import DemoServer, DemoServerError
from lowtide.instance_lock import InstanceLock, read_running
from lowtide.server_client import ServerClient, ServerUnreachableError, connect
from lowtide.tls.files import load
from lowtide.tls.settings import TlsSettings
from lowtide.trust import CaFileError, by_authorities, server_of
from support.certs import Pair, Pki


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        heard.append(self.headers.get("authorization", ""))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "16")
        self.end_headers()
        self.wfile.write(b'{"stored": true}')

    def log_message(self, *_: object) -> None:
        pass


heard: list[str] = []


class Server(ThreadingHTTPServer):
    """Speaks TLS with whatever certificate `use` gave it."""

    daemon_threads = True

    def use(self, pair: Pair) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.certificate, pair.key)

    def get_request(self) -> tuple[ssl.SSLSocket, tuple[str, int]]:
        connection, address = self.socket.accept()
        try:
            return self.context.wrap_socket(connection, server_side=True), address
        except OSError:
            connection.close()
            raise

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(pki: Pki) -> Iterator[Server]:
    heard.clear()
    server = Server(("127.0.0.1", 0), Handler)
    server.use(pki.server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def digest(pair: Pair) -> str:
    return load(TlsSettings(certificate=pair.certificate, key=pair.key)).digest


@pytest.fixture
def lock(tmp_path: Path, server: Server, pki: Pki) -> Iterator[InstanceLock]:
    """A data directory whose server is this one."""
    with InstanceLock.acquire(tmp_path) as lock:
        lock.publish({"api": server.address}, "the secret", [digest(pki.server)])
        yield lock


def test_the_record_says_how_to_know_the_server(lock: InstanceLock, tmp_path: Path, pki: Pki) -> None:
    running = read_running(tmp_path)
    assert running is not None
    assert running.certificates == (digest(pki.server),)


def test_its_own_server_is_known_whatever_its_names_say(
    lock: InstanceLock, server: Server, tmp_path: Path, pki: Pki
) -> None:
    """Also if it has expired: its owner must get in to mend that."""
    odd = pki.strangers.issue("odd", dns=["elsewhere.example"], expired=True)
    server.use(odd)
    lock.publish({"api": server.address}, "the secret", [digest(odd)])
    client = connect(tmp_path)
    assert client is not None
    with client:
        assert client.get_json("/") == {"stored": True}
    assert heard == ["Bearer the secret"]


def test_another_one_with_a_better_certificate_is_not(
    lock: InstanceLock, server: Server, tmp_path: Path, pki: Pki
) -> None:
    """Somebody took the port; nothing is said to them."""
    server.use(pki.renewed)
    client = connect(tmp_path)
    assert client is not None
    with client, pytest.raises(ServerUnreachableError, match=r"over TLS.*somebody else"):
        client.get_json("/")
    assert not heard


def test_a_renewed_one_is_known_without_connecting_anew(
    lock: InstanceLock, server: Server, tmp_path: Path, pki: Pki
) -> None:
    """A demo that is played live goes on for weeks."""
    trust = server_of(tmp_path)
    for pair in (pki.server, pki.renewed):
        server.use(pair)
        lock.publish({"api": server.address}, "the secret", [digest(pki.server), digest(pair)])
        with DemoServer(server.address, None, trust) as asked:
            assert asked.is_stored()


def test_when_no_server_runs_nobody_is_believed(server: Server, tmp_path: Path) -> None:
    with (
        ServerClient(server.address, trust=server_of(tmp_path)) as client,
        pytest.raises(ServerUnreachableError),
    ):
        client.get_json("/")
    assert not heard


class TestOthers:
    def test_by_a_file_of_cas(self, server: Server, pki: Pki) -> None:
        with DemoServer(server.address, "t", by_authorities(pki.servers.certificate)) as asked:
            assert asked.is_stored()

    def test_not_without_it(self, server: Server, pki: Pki) -> None:
        for trust in (None, by_authorities(), by_authorities(pki.strangers.certificate)):
            with DemoServer(server.address, "t", trust) as asked, pytest.raises(DemoServerError) as caught:
                asked.is_stored()
            assert "--ca-file" in str(caught.value.hint)
        assert not heard

    def test_nor_under_another_name(self, server: Server, pki: Pki) -> None:
        server.use(pki.servers.issue("other-name", dns=["other.example"]))
        trust = by_authorities(pki.servers.certificate)
        with DemoServer(server.address, "t", trust) as asked, pytest.raises(DemoServerError):
            asked.is_stored()
        assert not heard

    def test_the_demo_says_what_to_do(self, server: Server) -> None:
        from ingest.signals import Signal
        from lowtide.demo.packing import Request

        request = Request(Signal.LOGS, b"", 0, 0)
        with (
            Sender(server.address, in_flight=1, timeout_s=10, give_up_after_s=5) as sender,
            pytest.raises(SendError, match="--ca-file"),
        ):
            sender.send_all([request], lambda _: None)

    def test_a_file_that_holds_none(self, tmp_path: Path, pki: Pki) -> None:
        with pytest.raises(CaFileError, match="cannot be read: No such file"):
            by_authorities(tmp_path / "none")
        shutil.copy(pki.server.key, tmp_path / "key")
        with pytest.raises(CaFileError, match="holds no CA"):
            by_authorities(tmp_path / "key")
