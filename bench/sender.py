"""Sends one kind of request over OTLP/HTTP as fast as it is acknowledged. A process of its own.

    python -m bench.sender URL LOAD SECONDS CONNECTIONS

Requests are made and compressed beforehand and sent again and again, so that the sender takes as little as it
can from the machine it shares with the server. It prints what was acknowledged as JSON.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.requests import LOADS, bodies

DIFFERENT = 64
RETRY_S = 0.05


@dataclass(slots=True)
class Sent:
    """What one connection has done."""

    acknowledged: int = 0
    put_off: int = 0
    """Answers of 429 or 503: sent again."""
    seconds: list[float] = field(default_factory=list)
    """From the request to its acknowledgement."""


def send(url: str, path: str, payloads: list[bytes], until: float, sent: Sent) -> None:
    """Send one after the other over one connection."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=120)
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    for payload in itertools.cycle(payloads):
        while time.monotonic() < until:
            started = time.monotonic()
            connection.request("POST", path, payload, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200 and not said:
                sent.acknowledged += 1
                sent.seconds.append(time.monotonic() - started)
                break
            if answer.status not in {429, 503}:
                raise RuntimeError(f"{answer.status}: {said[:300]!r}")
            sent.put_off += 1
            time.sleep(RETRY_S)
        else:
            break
    connection.close()


def main(url: str, load_name: str, seconds: str, connections: str) -> None:
    """Send, and print what came of it."""
    load = next(each for each in LOADS if each.name == load_name)
    made = bodies(load, DIFFERENT)
    payloads = [gzip.compress(body, 1) for body in made]
    started_at = time.time()
    until = time.monotonic() + float(seconds)
    sent = [Sent() for _ in range(int(connections))]
    threads = [
        threading.Thread(
            target=send,
            args=(url, f"/v1/{load.signal}", payloads[number:] + payloads[:number], until, each),
        )
        for number, each in enumerate(sent)
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
        "bytes_per_item": round(sum(map(len, made)) / DIFFERENT / load.items),
        "bytes_per_item_compressed": round(sum(map(len, payloads)) / DIFFERENT / load.items),
        "ack_p50_ms": round(took[len(took) // 2] * 1000, 1),
        "ack_p99_ms": round(took[len(took) * 99 // 100] * 1000, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
