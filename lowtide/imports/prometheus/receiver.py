"""The running Lowtide as an import sends to it: remote write 2.0, on loopback, like any Prometheus. What it
acknowledges is on disk, and what is sent twice in the same bytes is stored once.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cramjam
import httpx2

from lowtide.imports.prometheus.errors import ReceiverError
from lowtide.imports.prometheus.patience import Patience
from lowtide.output import printable

_PATH: Final = "/api/v1/write"
_PASSING: Final = frozenset({429, 500, 502, 503, 504})
_HEADERS: Final = {
    "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "2.0.0",
    "user-agent": "lowtide-import",
}
_WRITTEN: Final = "x-prometheus-remote-write-samples-written"
_TIMEOUT_S: Final = 120.0  # the first request may wait for a translation that is compiled


@dataclass(frozen=True, slots=True)
class Taken:
    """How many samples of a request are stored, and why the others are not."""

    written: int
    reason: str = ""


class Receiver:
    """One server."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None,
        trust: ssl.SSLContext | None,
        give_up_after_s: float,
        sleep: Callable[[float], None] = time.sleep,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._url = address.rstrip("/") + _PATH
        self._give_up_after_s = give_up_after_s
        self._sleep, self._tell = sleep, tell
        headers = {**_HEADERS, **({"authorization": f"Bearer {token}"} if token else {})}
        self._http = httpx2.Client(
            headers=headers, timeout=_TIMEOUT_S, trust_env=False, verify=True if trust is None else trust
        )

    def send(self, body: bytes) -> Taken:
        """One request. Raises ReceiverError."""
        wire = bytes(cramjam.snappy.compress_raw(body))
        patience = Patience(self._give_up_after_s, sleep=self._sleep, tell=self._tell)
        while True:
            least_s = 0.0
            try:
                answer = self._http.post(self._url, content=wire)
            except httpx2.TransportError as error:
                why = f"{self._url} cannot be reached ({printable(str(error)) or type(error).__name__})"
            else:
                written = answer.headers.get(_WRITTEN, "")
                if answer.is_success:
                    return Taken(int(written) if written.isdecimal() else 0)
                said = printable(answer.text.strip())[:500]
                if answer.status_code == httpx2.codes.BAD_REQUEST and written.isdecimal():
                    # What is refused will never be taken; the rest is stored.
                    return Taken(int(written), said)
                why = f"{self._url} answered {answer.status_code}: {said}"
                if answer.status_code not in _PASSING:
                    raise ReceiverError(f"Lowtide refused: {why}.")
                after = answer.headers.get("retry-after", "")
                least_s = float(after) if after.isdecimal() else 0.0
            if not patience.wait(why, least_s):
                raise ReceiverError(
                    f"Lowtide did not take what is imported for {self._give_up_after_s:g} s: {why}.",
                    hint="Start the same import again when it does; it goes on where it stopped.",
                )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()
