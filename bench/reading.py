"""Somebody who looks at dashboards while telemetry comes in: asks the server one question after the other."""

from __future__ import annotations

import statistics
import threading
import time
from types import TracebackType
from typing import Any, Self

from bench.server import Server

PAUSE_S = 0.5
"""Between two answers. A page of eight panels that is loaded anew every four seconds."""
QUESTIONS = (
    """
    SELECT service_name, minute, sum(requests), sum(errors), sum(duration_ns)
    FROM red_1m WHERE minute > now() - INTERVAL 1 HOUR GROUP BY ALL
    """,
    """
    SELECT workload_name, second, sum(starts)
    FROM activity_1s WHERE second > now() - INTERVAL 5 MINUTE GROUP BY ALL
    """,
    """
    SELECT Timestamp, TraceId, SpanName, Duration
    FROM otel_traces
    WHERE Timestamp > now() - INTERVAL 5 MINUTE AND has(SpanAttributeItems, 'http.response.status_code=500')
    ORDER BY Timestamp DESC LIMIT 20
    """,
    "SELECT signal, service_name, sum(rows), sum(bytes) FROM telemetry_volume_1h GROUP BY ALL",
    "SELECT MetricName, uniq(fingerprint) FROM metric_series GROUP BY MetricName",
    """
    SELECT ServiceName, count()
    FROM otel_logs WHERE Timestamp > now() - INTERVAL 5 MINUTE GROUP BY ALL
    """,
)


class Reader:
    """Use it in a `with` block; an error of the server's is one here, at its end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._took_s: list[float] = []
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def found(self) -> dict[str, Any]:
        """How many answers there were, and how long they took."""
        took = sorted(self._took_s) or [0.0]
        return {
            "reads": len(self._took_s),
            "read_p50_ms": round(statistics.median(took) * 1000),
            "read_p99_ms": round(took[len(took) * 99 // 100] * 1000),
        }

    def _run(self) -> None:
        try:
            number = 0
            while not self._over.wait(PAUSE_S):
                started = time.monotonic()
                self._server.rows(QUESTIONS[number % len(QUESTIONS)])
                self._took_s.append(time.monotonic() - started)
                number += 1
        except Exception as error:  # noqa: BLE001 - raised again where the block ends
            self._error = error
