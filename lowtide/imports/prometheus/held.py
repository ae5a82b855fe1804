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

from lowtide.imports.prometheus.importing import Held
from lowtide.imports.prometheus.source import Labels
from lowtide.imports.prometheus.state import Chunk
from lowtide.server_client import ServerClient, ServerError

_SQL: Final = files("lowtide.imports.prometheus").joinpath("held.sql").read_text(encoding="utf-8")
_EMPTY_WITHIN_S: Final = 30.0
_LOOK_S: Final = 0.2


def held_by(client: ServerClient, tell: Callable[[str], None]) -> Callable[[Chunk], Held]:
    """A function that asks this server; the first time once what waits in its spool is stored. Where that
    cannot be asked for (no SQL, say), `tell` is told, once, and nothing is left out."""
    asked = False
    is_deaf = False

    def held(chunk: Chunk) -> Held:
        nonlocal asked, is_deaf
        if is_deaf:
            return set()
        try:
            if not asked:
                _wait_until_stored(client)
                asked = True
            names = "[" + ",".join(_quoted(name) for name in chunk.names) + "]"
            answer = client.request(
                "POST", "/sql",
                params={"param_names": names, "param_from_ms": chunk.from_ms, "param_to_ms": chunk.to_ms},
                content=_SQL.encode(),
            )  # fmt: skip
        except ServerError as error:
            is_deaf = True
            tell(
                f"What is stored already cannot be asked for ({error}); samples that came in another way "
                "may be stored twice."
            )
            return set()
        return _read(answer.body)

    return held


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
