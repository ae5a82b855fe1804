"""Asks the running server's API on behalf of a command.

Commands call `connect`; None means that no server runs and the command may open the store itself. Answers are
bounded, proxies and redirects are ignored, since the address is one our own process published. The trap:
importing this costs a tenth of a second, so it is imported inside commands.

    ServerError                 something about the server's answer
    +-- ServerBusyError         starting, or no answer in time (retryable)
    +-- ServerUnreachableError  it owns the data directory but does not answer there (retryable)
    +-- RequestRefusedError     it answered with an error status; permanent if `status` is below 500
    +-- BadAnswerError          the answer is too large, or not what was asked for (permanent)
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from lowtide.errors import LowtideError
from lowtide.instance_lock import read_running
from lowtide.output import printable
from lowtide.trust import is_about_tls, server_of

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""An answer held in memory: far above any table of ours, and small beside the server itself."""
CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 60.0
START_WAIT_S = 10.0
"""A server is ready within 3 s on an empty store; a large one replays its log first."""
_MAX_REASON_BYTES = 4096
_POLL_S = 0.1

Parameters = Mapping[str, str | int | float | bool | None]


class ServerError(LowtideError):
    """Base of what can go wrong between a command and the server."""


class ServerBusyError(ServerError):
    """The server is starting, or gave no answer in time. Trying again later is right."""


class ServerUnreachableError(ServerError):
    """The server's process lives, but its API cannot be reached."""


class BadAnswerError(ServerError):
    """The answer is larger than allowed, or is not what was asked for."""


class RequestRefusedError(ServerError):
    """The server answered with an error. `status` is the HTTP status; the message is its explanation."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `content_type` without parameters, lower case."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body parsed. Raises BadAnswerError if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise BadAnswerError(f"The server's answer is not JSON ({self.content_type}).") from error


class ServerClient:
    """A connection to one server. Use it in a `with` block, from one thread."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        trust: ssl.SSLContext | None = None,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.address = address.rstrip("/")
        # Uncompressed: bytes are cheap on one machine, and nothing small can unfold into something large.
        headers = {"User-Agent": "lowtide-cli", "Accept-Encoding": "identity"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._max_answer_bytes = max_answer_bytes
        self._http = httpx2.Client(
            base_url=self.address,
            timeout=httpx2.Timeout(answer_timeout_s, connect=CONNECT_TIMEOUT_S),
            headers=headers,
            trust_env=False,
            verify=True if trust is None else trust,
            follow_redirects=False,
            transport=transport,
        )

    def get_json(self, path: str, params: Parameters | None = None, *, accept: Container[int] = ()) -> Any:
        """GET a JSON document, parsed. `accept` are statuses of errors whose answer is wanted too."""
        return self.request("GET", path, params, headers={"Accept": "application/json"}, accept=accept).json()

    def request(
        self,
        method: str,
        path: str,
        params: Parameters | None = None,
        *,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
    ) -> Answer:
        """One request and its whole answer. Raises ServerError and its kinds, see the module."""
        with self._open(method, path, params, content, headers, accept) as response:
            body = b"".join(_bounded(response, self._max_answer_bytes))
            return Answer(response.status_code, _content_type(response), body)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        params: Parameters | None = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Iterator[bytes]]:
        """One request whose answer is read piece by piece, of any length. Raises as `request` does."""
        with self._open(method, path, params, content, headers) as response:
            yield response.iter_bytes()

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        params: Parameters | None,
        content: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str] | None,
        accept: Container[int] = (),
    ) -> Iterator[httpx2.Response]:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            with self._http.stream(method, path, params=given, content=content, headers=headers) as response:
                if response.status_code >= 300 and response.status_code not in accept:
                    raise _refusal(response)
                yield response
        except httpx2.ConnectError as error:
            if is_about_tls(error):
                raise ServerUnreachableError(
                    f"The server at {self.address} cannot be reached over TLS: {error}.",
                    hint="Try again; if it stays so, look who listens there.",
                ) from error
            raise ServerUnreachableError(
                f"The server at {self.address} does not accept connections, although its process runs.",
                hint="See its log; stop it to let commands open the store themselves.",
            ) from error
        except httpx2.TimeoutException as error:
            raise ServerBusyError(f"The server at {self.address} gave no answer in time.") from error
        except httpx2.TransportError as error:
            raise ServerUnreachableError(
                f"The connection to the server at {self.address} broke: {error}."
            ) from error

    def close(self) -> None:
        """Close the connection. May be called again."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    data: Path,
    *,
    token: str | None = None,
    wait_s: float = START_WAIT_S,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
) -> ServerClient | None:
    """A client of the server that owns the data directory, or None if none runs. It asks with this token, or
    else with what the server left for the commands of its owner.

    A server that is just starting is waited for; after `wait_s` that is a ServerBusyError.
    """
    until = time.monotonic() + wait_s
    while (running := read_running(data)) is not None:
        if running.api is not None:
            return ServerClient(
                running.api,
                token=token or running.secret,
                trust=server_of(data) if running.certificates else None,
                answer_timeout_s=answer_timeout_s,
            )
        if time.monotonic() >= until:
            raise ServerBusyError(
                f"Lowtide (pid {running.pid}) is starting on {data} and does not answer yet.",
                hint="Try again in a moment.",
            )
        time.sleep(_POLL_S)
    return None


def _content_type(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def _bounded(response: httpx2.Response, limit: int) -> Iterator[bytes]:
    taken = 0
    for piece in response.iter_bytes():
        taken += len(piece)
        if taken > limit:
            raise BadAnswerError(
                f"The server's answer is larger than {limit} bytes.",
                hint="Ask for less, for example a shorter window.",
            )
        yield piece


def _refusal(response: httpx2.Response) -> RequestRefusedError:
    """The server's own explanation: problem details (RFC 9457), else the beginning of the text."""
    text = b""
    for piece in response.iter_bytes(_MAX_REASON_BYTES):
        text = piece
        break
    reason = text.decode("utf-8", "replace").strip()
    if _content_type(response) in {"application/problem+json", "application/json"}:
        reason = _problem(reason) or reason
    shown = printable(reason[:1000]) if reason else "it gave no reason"
    return RequestRefusedError(f"The server refused ({response.status_code}): {shown}", response.status_code)


def _problem(text: str) -> str | None:
    try:
        problem = json.loads(text)
    except ValueError:
        return None
    if not isinstance(problem, dict):
        return None
    said = [part for part in (problem.get("title"), problem.get("detail")) if isinstance(part, str) and part]
    return ": ".join(said) or None
