"""Asking the running server, against a real server on loopback that answers well and badly."""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from lowtide.errors import LowtideError
from lowtide.instance_lock import InstanceLock
from lowtide.server_client import (
    BadAnswerError,
    RequestRefusedError,
    ServerBusyError,
    ServerClient,
    ServerUnreachableError,
    connect,
)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path; `/echo` tells what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        {
            "/echo": self.echo,
            "/large": lambda: self.answer(200, "text/plain", b"x" * 200_000),
            "/html": lambda: self.answer(200, "text/html; charset=utf-8", b"<p>"),
            "/problem": lambda: self.answer(
                409, "application/problem+json", b'{"title": "Conflict", "detail": "It \\u001b[2Jchanged."}'
            ),
            "/odd": lambda: self.answer(400, "application/json", b"[1"),
            "/text": lambda: self.answer(500, "text/plain", b"broken\n" * 5000),
            "/empty": lambda: self.answer(503, "text/plain", b""),
            "/elsewhere": lambda: self.answer(302, "text/plain", b"moved", location="http://192.0.2.1/"),
            "/bomb": lambda: self.answer(
                200, "text/plain", gzip.compress(b"\0" * 10_000_000), **{"content-encoding": "gzip"}
            ),
            "/short": self.short,
            "/silence": self.silence,
        }[path]()

    def do_POST(self) -> None:
        self.do_GET()

    def echo(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        said = {
            "method": self.command,
            "query": parse_qs(urlsplit(self.path).query),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode(),
        }
        self.answer(200, "application/json", json.dumps(said).encode())

    def answer(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def silence(self) -> None:
        assert isinstance(self.server, Server)
        self.server.stop.wait(30)

    def short(self) -> None:
        """Promises more than it sends."""
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b"part")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gave it
        """Silent."""


class Server(http.server.ThreadingHTTPServer):
    """Runs until `stop` is set; clients that hang up early are what some tests are about."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stop = threading.Event()

    def handle_error(self, *_: object) -> None:
        assert isinstance(sys.exception(), ConnectionError)


@pytest.fixture
def address() -> Iterator[str]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(address: str) -> Iterator[ServerClient]:
    with ServerClient(address + "/", max_answer_bytes=100_000) as client:
        yield client


def test_what_is_asked_arrives(client: ServerClient) -> None:
    said = client.get_json("/echo", {"a": "x y&z", "n": 3, "none": None, "flag": True})

    assert said["method"] == "GET"
    assert said["query"] == {"a": ["x y&z"], "n": ["3"], "flag": ["true"]}
    assert said["headers"]["accept"] == "application/json"
    assert said["headers"]["user-agent"] == "lowtide-cli"


def test_a_body_and_headers(client: ServerClient) -> None:
    answer = client.request("POST", "/echo", content=b"SELECT 1", headers={"X-Format": "CSV"})

    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json()["body"] == "SELECT 1"
    assert answer.json()["headers"]["x-format"] == "CSV"


def test_proxies_of_the_environment_are_ignored(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    with ServerClient(address) as client:
        assert client.get_json("/echo")["method"] == "GET"


def test_an_answer_of_any_length_can_be_streamed(client: ServerClient) -> None:
    with client.stream("GET", "/large") as pieces:
        assert sum(map(len, pieces)) == 200_000


def test_an_answer_that_is_too_large_is_cut_off(client: ServerClient) -> None:
    with pytest.raises(BadAnswerError, match="larger than 100000 bytes"):
        client.request("GET", "/large")


def test_the_bound_is_on_what_an_answer_unfolds_to(client: ServerClient) -> None:
    with pytest.raises(BadAnswerError, match="larger than 100000 bytes"):
        client.request("GET", "/bomb")


def test_an_answer_that_is_no_json(client: ServerClient) -> None:
    with pytest.raises(BadAnswerError, match=r"not JSON \(text/html\)"):
        client.get_json("/html")


def test_a_refusal_is_the_servers_own_explanation(client: ServerClient) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        client.get_json("/problem")

    assert caught.value.status == 409
    assert str(caught.value) == "The server refused (409): Conflict: It \\x1b[2Jchanged."


def test_a_refusal_without_a_problem_document(client: ServerClient) -> None:
    with pytest.raises(RequestRefusedError, match=r"\(400\): \[1$"):
        client.get_json("/odd")
    with pytest.raises(RequestRefusedError, match=r"\(503\): it gave no reason$"):
        client.get_json("/empty")
    with pytest.raises(RequestRefusedError, match=r"\(500\): broken") as caught:
        client.get_json("/text")
    assert len(str(caught.value)) < 2000


def test_a_stream_may_be_refused_too(client: ServerClient) -> None:
    with pytest.raises(RequestRefusedError, match="409"), client.stream("GET", "/problem"):
        pass


def test_redirects_are_not_followed(client: ServerClient) -> None:
    with pytest.raises(RequestRefusedError, match="302"):
        client.get_json("/elsewhere")


def test_a_server_that_is_silent(address: str) -> None:
    with (
        ServerClient(address, answer_timeout_s=0.05) as client,
        pytest.raises(ServerBusyError, match="no answer in time"),
    ):
        client.get_json("/silence")


def test_a_connection_that_breaks(client: ServerClient) -> None:
    with pytest.raises(ServerUnreachableError, match="broke"):
        client.request("GET", "/short")


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening
        client = ServerClient(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with client, pytest.raises(ServerUnreachableError, match="does not accept connections") as caught:
            client.get_json("/")
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


class TestConnect:
    def test_no_server(self, tmp_path: Path) -> None:
        assert connect(tmp_path) is None

    def test_a_running_server(self, tmp_path: Path, address: str) -> None:
        with InstanceLock.acquire(tmp_path) as lock:
            lock.publish({"api": address})
            client = connect(tmp_path)
            assert client is not None
            with client:
                assert client.get_json("/echo")["method"] == "GET"

    def test_one_that_is_still_starting(self, tmp_path: Path) -> None:
        with InstanceLock.acquire(tmp_path), pytest.raises(ServerBusyError, match="is starting") as caught:
            connect(tmp_path, wait_s=0)

        assert isinstance(caught.value, LowtideError)

    def test_one_that_is_starting_is_waited_for(self, tmp_path: Path, address: str) -> None:
        with InstanceLock.acquire(tmp_path) as lock:
            publisher = threading.Timer(0.1, lock.publish, [{"api": address}])
            publisher.start()
            client = connect(tmp_path, wait_s=60)
            publisher.join()

            assert client is not None
            client.close()
