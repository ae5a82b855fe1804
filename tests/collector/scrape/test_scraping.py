"""One target, scraped over real connections: what is stored of good and of bad scrapes."""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import structlog

from collector.admission import Admission
from collector.replies import Kind, Outcome
from collector.scrape.errors import ScrapeStartError
from collector.scrape.scraping import next_due_ns, offset_of
from collector.scrape.targets import Target
from support.remote_write import STALE_BITS
from support.scraping import NOW_NS, OPENMETRICS, TEXT, Exposed, OneTarget, Page, expose, read_requests

Make = Callable[..., OneTarget]
NOW_MS = NOW_NS // 10**6
DOWN = {"up": 0.0, "scrape_samples_scraped": 0.0, "scrape_series_added": 0.0}


def bits(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")


def without_duration(samples: dict[str, float]) -> dict[str, float]:
    assert 0 <= samples.pop("scrape_duration_seconds") < 30
    return samples


async def fails(one: OneTarget, reason: str) -> None:
    """A scrape brings nothing but that it failed, and is counted under this reason."""
    before = one.counted("failures_total", reason=reason)
    assert without_duration(await one.scrape()) == DOWN
    assert one.counted("failures_total", reason=reason) == before + 1


async def test_a_page_and_what_is_said_of_it(exposed: Exposed, scraping: Make) -> None:
    one = scraping(labels={"site": "one"})
    exposed.page = Page(b'# TYPE a gauge\na{x="1"} 1\na{x="2"} 2\nb 3\n')
    found = await one.scrape()
    assert 0 < found.pop("scrape_duration_seconds{site=one}") < 30
    assert found == {
        "a{site=one,x=1}": 1.0, "a{site=one,x=2}": 2.0, "b{site=one}": 3.0, "up{site=one}": 1.0,
        "scrape_samples_scraped{site=one}": 3.0, "scrape_series_added{site=one}": 3.0,
    }  # fmt: skip
    ((path, headers),) = exposed.asked
    assert path == "/metrics"
    assert headers["accept"] == (
        "application/openmetrics-text;version=1.0.0;q=1,text/plain;version=0.0.4;q=0.9"
    )
    assert headers["accept-encoding"] == "gzip"
    assert "authorization" not in headers
    assert one.counted("samples_total") == 7


async def test_whose_openmetrics_is_broken_is_asked_for_text(exposed: Exposed, scraping: Make) -> None:
    """As the pages are that Istio's agent puts together of an application's and Envoy's."""
    one = scraping()
    merged = b"# TYPE envoy_cluster_upstream_cx counter\nenvoy_cluster_upstream_cx 1\n# EOF\n"
    exposed.page = Page(merged, OPENMETRICS)
    with structlog.testing.capture_logs() as logs:
        await fails(one, "parse")
    assert "from now on it is asked for text" in logs[0]["why"]
    exposed.page = Page(merged, TEXT)
    assert (await one.scrape())["envoy_cluster_upstream_cx"] == 1.0
    assert [headers["accept"] for _, headers in exposed.asked] == [
        "application/openmetrics-text;version=1.0.0;q=1,text/plain;version=0.0.4;q=0.9",
        "text/plain;version=0.0.4;q=1",
    ]


async def test_nobody_is_asked_for_what_the_job_does_not_take(exposed: Exposed, scraping: Make) -> None:
    one = scraping(formats=("openmetrics",))
    exposed.page = Page(b"# TYPE a counter\na 1\n# EOF\n", OPENMETRICS)
    for _ in range(2):
        await fails(one, "parse")
    assert {headers["accept"] for _, headers in exposed.asked} == {
        "application/openmetrics-text;version=1.0.0;q=1"
    }


async def test_the_time_is_that_of_the_scrape_or_of_the_page(exposed: Exposed, scraping: Make) -> None:
    exposed.page = Page(b"a 1\nb 1 1789999999000\n")
    one = scraping()
    await one.scraping.scrape(NOW_NS)
    assert {name: sample.timestamp for name, sample in one.samples().items()} == dict.fromkeys(
        ("a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"), NOW_MS
    ) | {"b": 1789999999000}
    other = scraping(honor_timestamps=False)
    await other.scraping.scrape(NOW_NS)
    assert {sample.timestamp for sample in other.samples().values()} == {NOW_MS}


async def test_a_series_that_is_gone_is_ended(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b"# TYPE a counter\na 1\nb 2\nc 3 1789999999000\n")
    await one.scrape()
    exposed.page = Page(b"b 2\nd 4\n")
    found = await one.scrape()
    # Prometheus does not end what came with a time of its own.
    assert bits(found.pop("a")) == STALE_BITS
    assert without_duration(found) == {
        "b": 2.0, "d": 4.0, "up": 1.0, "scrape_samples_scraped": 2.0, "scrape_series_added": 1.0
    }  # fmt: skip
    found = await one.scrape()
    assert "a" not in found, "it ends once"
    assert found["scrape_series_added"] == 0.0


async def test_a_target_that_fails_ends_its_series(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b"a 1\nb 2\n")
    await one.scrape()
    exposed.page = Page(status=500)
    found = await one.scrape()
    assert [bits(found.pop(name)) for name in "ab"] == [STALE_BITS] * 2
    assert without_duration(found) == DOWN
    await fails(one, "status")
    exposed.page = Page(b"a 1\n")
    found = await one.scrape()
    assert (found["a"], found["up"], found["scrape_series_added"]) == (1.0, 1.0, 1.0)


async def test_a_target_that_is_removed_ends_all_its_series(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b"a 1\n")
    await one.scrape()
    await one.scraping.end(NOW_NS + 60 * 10**9)
    found = one.samples()
    assert found.keys() == {
        "a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"
    }  # fmt: skip
    assert {(bits(sample.value), sample.timestamp) for sample in found.values()} == {
        (STALE_BITS, NOW_MS + 60_000)
    }


async def test_an_end_has_the_type_of_its_series(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b"# HELP a What.\n# TYPE a counter\na 1\n")
    kinds = []
    for page in (exposed.page, Page(b"")):
        exposed.page = page
        await one.scraping.scrape(NOW_NS)
        for labels, series, symbols in read_requests([body for _, body in one.kept.bodies]):
            if dict(labels)["__name__"] == "a":
                kinds.append((series.metadata.type, symbols[series.metadata.help_ref]))
        one.kept.bodies.clear()
    assert kinds == [(1, "What.")] * 2


async def test_what_was_not_stored_is_counted_and_ended_later(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b"a 1\n")
    await one.scrape()
    one.kept.outcome = Outcome(Kind.SPOOL_FULL, "the disk buffer is full")
    exposed.page = Page(b"b 1\n")
    await one.scrape()
    assert one.counted("samples_refused_total", reason="spool_full") == 6  # b, the end of a, four reports
    one.kept.outcome = Outcome(Kind.OK)
    exposed.page = Page(b"c 1\n")
    found = await one.scrape()
    assert [bits(found[name]) for name in "ab"] == [STALE_BITS] * 2


async def test_a_series_given_twice_counts_once(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b'a{x="1"} 1\na{x="1"} 2\n')
    assert (await one.scrape())["a{x=1}"] == 1.0
    assert one.counted("samples_refused_total", reason="duplicate") == 1


async def test_pages_may_come_in_gzip(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(gzip.compress(b"a 1\n"), headers={"content-encoding": "gzip"})
    assert (await one.scrape())["a"] == 1.0


BOMB = gzip.compress(b"a 1\n" * (1 << 20))


@pytest.mark.parametrize(
    ("job", "page", "reason"),
    [
        ({}, Page(b"a one\n"), "parse"),
        ({}, Page(b"a \xff\n"), "parse"),
        ({}, Page(b"a 1\n", OPENMETRICS), "parse"),
        ({}, Page(b"a 1\n", "text/html"), "content_type"),
        ({}, Page(b"a 1\n", None), "content_type"),
        ({}, Page(b"a 1\n", "application/json"), "content_type"),
        ({}, Page(b"a 1\n", status=404), "status"),
        ({}, Page(b"a 1\n", headers={"content-encoding": "br"}), "encoding"),
        ({}, Page(b"a 1\n", headers={"content-encoding": "gzip"}), "encoding"),
        ({}, Page(gzip.compress(b"a 1\n")[:-9], headers={"content-encoding": "gzip"}), "encoding"),
        ({"max_body_bytes": 1 << 20}, Page(BOMB, headers={"content-encoding": "gzip"}), "too_large"),
        ({"max_wire_bytes": 1024}, Page(b"a 1\n" * 1000), "too_large"),
        ({"max_wire_bytes": 1024}, Page(b"", headers={"content-length": "1025"}), "too_large"),
        ({"max_samples": 2}, Page(b"a 1\nb 1\nc 1\n"), "samples"),
        ({"max_labels": 3}, Page(b'a{b="1"} 1\n'), "labels"),
        ({}, Page(status=302, headers={"location": "http://127.0.0.2:1/"}), "redirect"),
    ],
)
async def test_what_cannot_be_used_is_a_failed_scrape(
    exposed: Exposed, scraping: Make, job: dict[str, Any], page: Page, reason: str
) -> None:
    one = scraping(**job)
    exposed.page = Page(b"a 1\n")
    await one.scrape()
    exposed.page = page
    found = await one.scrape()
    assert bits(found.pop("a")) == STALE_BITS
    assert without_duration(found) == DOWN
    assert one.counted("failures_total", reason=reason) == 1
    assert one.counted("attempts_total") == 2
    assert one.kept.admission.used_bytes == 0


async def test_a_bomb_takes_no_memory(exposed: Exposed, scraping: Make) -> None:
    exposed.page = Page(BOMB, headers={"content-encoding": "gzip"})
    one = scraping(max_body_bytes=1 << 20)
    grown: list[int] = []
    hold = one.kept.hold

    def held(tenant: str) -> Any:
        lease = hold(tenant)
        grow = lease.grow
        lease_grow = lambda size: (grown.append(size), grow(size))  # noqa: E731
        return _Watched(lease, lease_grow)

    one.kept.hold = held  # type: ignore[method-assign]
    await fails(one, "too_large")
    assert sum(grown) <= len(BOMB) + (2 << 20)


class _Watched:
    def __init__(self, lease: Any, grow: Any) -> None:
        self.lease, self.grow = lease, grow

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.lease.close()


async def test_a_page_of_another_type_may_be_taken_for_text(exposed: Exposed, scraping: Make) -> None:
    exposed.page = Page(b"a 1\n", "application/octet-stream")
    assert (await scraping(fallback_format="text").scrape())["a"] == 1.0


async def test_a_slow_target_is_given_up(exposed: Exposed, scraping: Make) -> None:
    """One that sends a byte now and then is never silent long enough for a timeout of reading."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", TEXT)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"#")
            handler.wfile.flush()
            time.sleep(0.05)

    exposed.page = Page(answer=trickle)
    one = scraping(timeout_s=0.3, interval_s=1)
    began = time.monotonic()
    await fails(one, "timeout")
    assert time.monotonic() - began < 4


async def test_an_answer_that_breaks_off(exposed: Exposed, scraping: Make) -> None:
    exposed.page = Page(b"a 1\n", headers={"content-length": "100"})
    await fails(scraping(), "connect")


async def test_nobody_listens(scraping: Make) -> None:
    with expose(Page()) as gone:
        address = gone.address
    one = scraping(targets=(address,))
    await fails(one, "connect")


async def test_no_room_for_a_page(exposed: Exposed, scraping: Make) -> None:
    one = scraping()
    exposed.page = Page(b"a 1\n" + b"#" * 4096)
    one.kept.admission = Admission(1024, common_bytes=1024)
    await fails(one, "overloaded")


# --- credentials


async def test_secrets_are_read_each_time(exposed: Exposed, scraping: Make, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    one = scraping(bearer_token_file=file)
    exposed.page = Page(b"a 1\n")
    await one.scrape()
    file.write_text("second\n")
    await one.scrape()
    assert [headers["authorization"] for _, headers in exposed.asked] == ["Bearer first", "Bearer second"]
    file.unlink()
    found = await one.scrape()
    assert found["up"] == 0.0
    assert one.counted("failures_total", reason="credentials") == 1


async def test_basic_authentication(exposed: Exposed, scraping: Make, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("pässword\n")
    exposed.page = Page(b"a 1\n")
    await scraping(username="me", password_file=file).scrape()
    assert exposed.asked[0][1]["authorization"] == "Basic bWU6cMOkc3N3b3Jk"


async def test_credentials_go_nowhere_else(exposed: Exposed, scraping: Make, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    with expose(Page(b"a 1\n")) as other:
        exposed.page = Page(status=307, headers={"location": f"http://{other.address}/metrics"})
        await fails(scraping(bearer_token_file=file), "redirect")
        assert other.asked == []


async def test_the_environment_names_no_proxy(
    exposed: Exposed, scraping: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposed.page = Page(b"a 1\n")
    with expose(Page(b"b 1\n")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("ALL_PROXY", f"http://{proxy.address}")
        assert "a" in await scraping().scrape()
        assert proxy.asked == []
        assert "b" in await scraping(proxy_url=f"http://{proxy.address}").scrape()


async def test_logs_have_no_secrets(exposed: Exposed, scraping: Make, tmp_path: Path) -> None:
    """Not those of headers, and not those that stand in a query."""
    file = tmp_path / "token"
    file.write_text("geheim1")
    exposed.page = Page(status=500)
    one = scraping(bearer_token_file=file, params={"key": ("geheim2",)})
    with structlog.testing.capture_logs() as logs:
        await one.scrape()
        await one.scrape()
    assert exposed.asked[0][0] == "/metrics?key=geheim2"
    (told,) = logs  # once, not with each scrape
    assert told["target"] == f"http://{exposed.address}/metrics"
    assert "geheim" not in str(logs)


@pytest.mark.parametrize("setting", ["bearer_token_file", "password_file", "ca_file", "certificate_file"])
def test_files_are_looked_at_when_the_server_starts(scraping: Make, tmp_path: Path, setting: str) -> None:
    file = tmp_path / "file"
    others: dict[str, dict[str, Any]] = {
        "password_file": {"username": "me"}, "certificate_file": {"key_file": file}
    }  # fmt: skip
    for content in (None, b"", b"\xff\x00"):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ScrapeStartError, match=rf"scrape\.jobs\[0\]\.{setting}"):
            scraping(**{setting: file}, **others.get(setting, {}))


# --- when


def test_targets_are_spread_over_their_interval() -> None:
    interval = 60 * 10**9
    offsets = sorted(
        offset_of(Target("node", f"http://n{number}:9100/metrics", ()), interval) for number in range(1000)
    )
    for tenth in range(10):
        there = [at for at in offsets if tenth * interval // 10 <= at < (tenth + 1) * interval // 10]
        assert 60 < len(there) < 140


def test_a_scrape_is_due_once_an_interval() -> None:
    assert next_due_ns(100, 0, 60, 7) == 127
    assert next_due_ns(127, 127, 60, 7) == 187
    assert next_due_ns(126, 127, 60, 7) == 187, "a sleeper that woke early"
    assert next_due_ns(400, 127, 60, 7) == 427, "a scrape that took long"
    assert next_due_ns(3, 127, 60, 7) == 7, "a clock that was put back"
