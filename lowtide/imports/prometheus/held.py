"""Which samples of a piece Lowtide has already: from an import that was killed before it could note the
piece, from another import, or because that Prometheus has written them itself. Lowtide recognises requests
that come again, but only in the same bytes, and for some minutes (`spool.resend_window_s`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from lowtide.imports.prometheus.errors import ReceiverError
from lowtide.imports.prometheus.importing import Held
from lowtide.imports.prometheus.patience import Patience
from lowtide.imports.prometheus.source import Labels
from lowtide.imports.prometheus.state import Chunk
from lowtide.server_client import (
    Parameters,
    RequestRefusedError,
    ServerBusyError,
    ServerClient,
    ServerError,
    ServerUnreachableError,
)

_SQL: Final = files("lowtide.imports.prometheus").joinpath("held.sql").read_text(encoding="utf-8")
_EMPTY_WITHIN_S: Final = 30.0
_LOOK_S: Final = 0.2


def held_by(
    client: ServerClient, tell: Callable[[str], None], *, give_up_after_s: float
) -> Callable[[Chunk], Held]:
    """A function that asks this server; the first time once what waits in its spool is stored. It raises
    ReceiverError if there is no answer. Where that may not be asked (no SQL, say), `tell` is told, once, and
    nothing is left out."""
    asked = False
    is_deaf = False

    def ask(chunk: Chunk) -> bytes:
        nonlocal asked
        if not asked:
            _wait_until_stored(client)
            asked = True
        names = "[" + ",".join(_quoted(name) for name in chunk.names) + "]"
        params: Parameters = {
            "param_names": names,
            "param_from_ms": chunk.from_ms,
            "param_to_ms": chunk.to_ms,
        }
        return client.request("POST", "/sql", params=params, content=_SQL.encode()).body

    def held(chunk: Chunk) -> Held:
        nonlocal is_deaf
        patience = Patience(give_up_after_s, tell=tell)
        while not is_deaf:
            try:
                return _read(ask(chunk))
            except ServerError as error:
                if not _passes(error):
                    is_deaf = True
                    tell(
                        f"What is stored already cannot be asked for ({error}); samples that came in another "
                        "way may be stored twice."
                    )
                elif not patience.wait(f"Lowtide gave no answer: {error}".rstrip(".")):
                    raise ReceiverError(
                        f"Lowtide gave no answer for {give_up_after_s:g} s: {error}",
                        hint="Start the same import again when it does; it goes on where it stopped.",
                    ) from error
        return set()

    return held


def _passes(error: ServerError) -> bool:
    """Whether the import should not go on without the answer. 401 comes from a server that was started anew,
    which has another secret: the next run of the command reads it."""
    if isinstance(error, RequestRefusedError):
        return error.status in (401, 429, 502, 503, 504)
    return isinstance(error, (ServerBusyError, ServerUnreachableError))


def _read(body: bytes) -> Held:
    found: Held = set()
    for line in body.splitlines():
        row = json.loads(line)
        labels = _labels(row)
        found.update((labels, int(time_ms)) for time_ms in row["times"])
    return found


def _labels(row: dict[str, Any]) -> Labels:
    """As that Prometheus has them (`collector.remote_write.translate`, the other way round)."""
    job = f"{row['namespace']}/{row['service']}" if row["namespace"] else row["service"]
    labels = {**row["attributes"], "__name__": row["name"], "job": job, "instance": row["instance"]}
    return tuple(sorted(pair for pair in labels.items() if pair[1]))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _wait_until_stored(client: ServerClient) -> None:
    """With telemetry that never stops, for as long as what came before may take."""
    until = time.monotonic() + _EMPTY_WITHIN_S
    while time.monotonic() < until:
        if not client.request("GET", "/api/v1/pipeline").json()["requests_waiting"]:
            return
        time.sleep(_LOOK_S)
