"""What the demo's command asks a server of ours, through its API: is the demo stored there, and remove it.

The trap: a removal may take minutes and answers only at its end, so it runs in a thread of its own while its
progress is asked for.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx2

from lowtide.errors import LowtideError
from lowtide.trust import is_about_tls

PATH = "/api/v1/demo"
REMOVAL_S = 3600.0
"""A removal waits until everything accepted is stored, so it may take long; its progress shows that it
lives."""
STORING = "waiting until what was accepted is stored"
_ANSWER_S = 30.0
_POLL_S = 0.25


class DemoServerError(LowtideError):
    """The server does not do what the demo asks of it."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Rows removed by table; `finished` is False if the demo was still being sent."""

    rows: Mapping[str, int]
    finished: bool


class DemoServer:
    """The API at one address. Use it in a `with` block."""

    def __init__(self, api: str, token: str | None, trust: ssl.SSLContext | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = f"{api.rstrip('/')}{PATH}"
        self._http = httpx2.Client(
            headers=headers, timeout=_ANSWER_S, trust_env=False, verify=True if trust is None else trust
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def is_stored(self) -> bool:
        """Whether it has the demo's telemetry. Raises DemoServerError."""
        return bool(self._ask("GET", _ANSWER_S)["stored"])

    def remove(self, tell: Callable[[str], None]) -> Removed:
        """Remove it. `tell` is given where it stands, in words. Raises DemoServerError."""
        told: dict[str, Any] = {}

        def run() -> None:
            try:
                told["answer"] = self._ask("DELETE", REMOVAL_S)
            except DemoServerError as error:
                told["error"] = error

        asking = threading.Thread(target=run, name="demo-remove", daemon=True)
        asking.start()
        while asking.is_alive():
            asking.join(_POLL_S)
            if asking.is_alive():
                self._follow(tell)
        if "error" in told:
            raise told["error"]
        if "answer" not in told:
            raise DemoServerError(f"{self._url} gave no answer that can be read.")
        return Removed(rows=dict(told["answer"]["rows"]), finished=bool(told["answer"]["finished"]))

    def _follow(self, tell: Callable[[str], None]) -> None:
        try:
            state = self._ask("GET", _ANSWER_S)["removal"]
        except DemoServerError:
            return  # the removal's own answer says what is wrong, and a server at work may be slow to tell
        if state is not None:
            tell(progress_words(state) if state["table"] else STORING)

    def _ask(self, method: str, timeout_s: float) -> Any:
        try:
            response = self._http.request(method, self._url, timeout=timeout_s)
        except httpx2.TimeoutException as error:
            raise DemoServerError(f"{self._url} gave no answer within {timeout_s:.0f} s.") from error
        except httpx2.TransportError as error:
            raise DemoServerError(
                f"{self._url} cannot be reached: {error}.",
                hint="If its CA is your own, name it with --ca-file."
                if is_about_tls(error)
                else "Is the server running? Name its API with --api http://HOST:PORT.",
            ) from error
        if response.status_code != 200:
            raise DemoServerError(
                f"{self._url} answered {response.status_code}: {_reason(response)}",
                hint="Is it the address of Lowtide's API?" if response.status_code == 404 else None,
            )
        try:
            return response.json()
        except ValueError as error:
            raise DemoServerError(
                f"{self._url} answered with something else than JSON.",
                hint="Is it the address of Lowtide's API?",
            ) from error


def progress_words(step: Mapping[str, Any]) -> str:
    """Where a removal is, from the fields of `api.demo.Progress`."""
    where = f"now {step['table']}, {step['number']} of {step['tables']} tables"
    again = f", round {step['round']}" if step["round"] > 1 else ""
    return f"{step['rows']:,} rows removed; {where}{again}"


def _reason(response: httpx2.Response) -> str:
    """The explanation in problem details (RFC 9457), else the beginning of the text."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        said = [str(problem[part]) for part in ("title", "detail") if problem.get(part)]
        if said:
            return ": ".join(said)
    return response.text[:200]
