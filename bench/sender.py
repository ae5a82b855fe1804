"""Sends one kind of request over OTLP/HTTP as fast as it is acknowledged. A process of its own.

    python -m bench.sender URL LOAD SECONDS CONNECTIONS

Requests are made and compressed beforehand, so that the sender takes as little as it can from the machine it
shares with the server. None is sent twice: that would be recognised and stored once. It prints what was
acknowledged as JSON.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.requests import LOADS, Load
from bench.variants import variants

RETRY_S = 0.05
_COMPRESSORS = 2
_AT_ONCE = 64


@dataclass(slots=True)
class Sent:
    """What one connection has done."""

    acknowledged: int = 0
    put_off: int = 0
    """Answers of 429 or 503: sent again."""
    seconds: list[float] = field(default_factory=list)
    """From the request to its acknowledgement."""


def send(url: str, path: str, payloads: queue.SimpleQueue[bytes], until: float, sent: Sent) -> None:
    """Send one after the other over one connection, until the time is over or there is none left."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=120)
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    payload: bytes | None = None
    while time.monotonic() < until:
        if payload is None:
            try:
                payload = payloads.get_nowait()
            except queue.Empty:
                break
        started = time.monotonic()
        connection.request("POST", path, payload, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 200 and not said:
            sent.acknowledged += 1
            sent.seconds.append(time.monotonic() - started)
            payload = None
        elif answer.status in {429, 503}:
            sent.put_off += 1
            time.sleep(RETRY_S)
        else:
            raise RuntimeError(f"{answer.status}: {said[:300]!r}")
    connection.close()


def _payloads(load: Load, seconds: float) -> tuple[list[bytes], int]:
    """As many compressed requests as can be sent in the time, and the bytes of all of them before."""
    made = variants(load, max(1, int(seconds * load.most_per_s / load.items)), seconds)
    payloads: list[bytes] = []
    size = 0
    with ThreadPoolExecutor(_COMPRESSORS) as threads:
        while some := list(itertools.islice(made, _AT_ONCE)):
            size += sum(map(len, some))
            payloads += threads.map(lambda body: gzip.compress(body, 1), some)
    return payloads, size


def main(url: str, load_name: str, seconds: str, connections: str) -> None:
    """Send, and print what came of it."""
    load = next(each for each in LOADS if each.name == load_name)
    payloads, size = _payloads(load, float(seconds))
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for payload in payloads:
        waiting.put(payload)
    started_at = time.time()
    until = time.monotonic() + float(seconds)
    sent = [Sent() for _ in range(int(connections))]
    threads = [
        threading.Thread(target=send, args=(url, f"/v1/{load.signal}", waiting, until, each)) for each in sent
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = sorted(second for each in sent for second in each.seconds)
    requests = sum(each.acknowledged for each in sent)
    print(json.dumps({
        "started_at": started_at,
        "send_s": time.time() - started_at,
        "requests": requests,
        "items": requests * load.items,
        "put_off": sum(each.put_off for each in sent),
        "ran_out": requests == len(payloads),
        "bytes_per_item": round(size / len(payloads) / load.items),
        "bytes_per_item_compressed": round(sum(map(len, payloads)) / len(payloads) / load.items),
        "ack_p50_ms": round(took[len(took) // 2] * 1000, 1),
        "ack_p99_ms": round(took[len(took) * 99 // 100] * 1000, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
