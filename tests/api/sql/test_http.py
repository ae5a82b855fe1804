"""The endpoint on a real port, asked as any HTTP client may ask."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator

import httpx2
import lz4.frame
import pytest
from prometheus_client import generate_latest

from api.app import Routers, create_app
from api.settings import ApiSettings, SqlSettings
from api.sql.router import sql_router
from api.sql.service import SqlAnswer, SqlService
from api.sql.statuses import http_status
from api.sql.telemetry import REGISTRY
from ingest.store.engine import Engine


@pytest.fixture
def http(served: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served, trust_env=False, headers={"Accept-Encoding": "identity"}) as client:
        yield client


class TestAsking:
    def test_by_post(self, http: httpx2.Client) -> None:
        answer = http.post(
            "/sql", content="SELECT id, shop FROM orders ORDER BY id LIMIT 2 FORMAT JSONEachRow"
        )

        assert answer.status_code == 200
        assert answer.text == '{"id":0,"shop":"north"}\n{"id":1,"shop":"south"}\n'
        assert answer.headers["content-type"] == "application/x-ndjson; charset=UTF-8"

    @pytest.mark.parametrize("path", ["/sql", "/sql/"])
    def test_by_get(self, http: httpx2.Client, path: str) -> None:
        answer = http.get(path, params={"query": "SELECT {x:UInt8} + 1", "param_x": "4"})

        assert (answer.status_code, answer.text) == (200, "5\n")
        assert answer.headers["content-type"] == "text/tab-separated-values; charset=UTF-8"

    def test_default_format(self, http: httpx2.Client) -> None:
        answer = http.post("/sql", params={"default_format": "JSONCompact"}, content="SELECT 1 AS a")

        assert answer.json()["data"] == [[1]]
        assert answer.headers["x-clickhouse-format"] == "JSONCompact"

    def test_by_form(self, http: httpx2.Client) -> None:
        answer = http.post("/sql", files={"query": (None, "SELECT {x:String}"), "param_x": (None, "é\\tx")})

        assert answer.text == "é\\tx\n"

    def test_compressed(self, http: httpx2.Client) -> None:
        for encoding, body in (
            ("gzip", gzip.compress(b"SELECT 1")),
            ("lz4", lz4.frame.compress(b"SELECT 1")),
        ):
            assert http.post("/sql", content=body, headers={"Content-Encoding": encoding}).text == "1\n"

    def test_settings_in_the_url_have_no_effect_and_the_answer_says_so(self, http: httpx2.Client) -> None:
        answer = http.get(
            "/sql",
            params={
                "query": "SELECT name, value FROM system.settings WHERE name IN ('readonly', 'max_threads', "
                "'max_execution_time') ORDER BY name",
                "readonly": "0",
                "max_threads": "64",
                "max_execution_time": "0",
            },
        )

        assert answer.text == "max_execution_time\t2\nmax_threads\t2\nreadonly\t1\n"
        assert answer.headers["x-lowtide-ignored-settings"] == "max_execution_time, max_threads"

    def test_user_and_password_make_no_difference(self, http: httpx2.Client) -> None:
        answer = http.get("/sql", params={"query": "SELECT 1", "user": "root"}, auth=("admin", "wrong"))

        assert answer.text == "1\n"


class TestHeaders:
    def test_those_of_clickhouse(self, http: httpx2.Client) -> None:
        headers = http.get("/sql", params={"query": "SELECT 1", "query_id": "my-query"}).headers

        assert headers["x-clickhouse-query-id"] == "my-query"
        assert headers["x-clickhouse-server-display-name"] == "lowtide"
        assert headers["x-clickhouse-timezone"]
        summary = json.loads(headers["x-clickhouse-summary"])
        assert summary["result_bytes"] == "2"
        assert int(summary["elapsed_ns"]) > 0
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"

    def test_a_query_id_is_made_up_if_none_fits(self, http: httpx2.Client) -> None:
        first, second = (
            http.get("/sql", params={"query": "SELECT 1", "query_id": "a\r\nb"}).headers[
                "x-clickhouse-query-id"
            ]
            for _ in range(2)
        )
        assert first != second

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
    def test_long_answers_are_compressed_if_asked_for(self, http: httpx2.Client, encoding: str) -> None:
        query = {"query": "SELECT number FROM numbers(4000)"}
        answer = http.get("/sql", params=query, headers={"Accept-Encoding": encoding})

        assert answer.headers["content-encoding"] == encoding
        assert answer.text.split() == [str(n) for n in range(4000)]
        declined = http.get(
            "/sql", params=query | {"enable_http_compression": "0"}, headers={"Accept-Encoding": encoding}
        )
        assert "content-encoding" not in declined.headers

    def test_lz4_is_the_frame_format(self, http: httpx2.Client) -> None:
        with http.stream(
            "GET",
            "/sql",
            params={"query": "SELECT number FROM numbers(4000)"},
            headers={"Accept-Encoding": "lz4"},
        ) as answer:
            body = lz4.frame.decompress(b"".join(answer.iter_raw()))

        assert body.split()[-1] == b"3999"


class TestPing:
    @pytest.mark.parametrize("path", ["/ping", "/sql/ping", "/sql", "/sql/"])
    def test_answers_ok(self, http: httpx2.Client, path: str) -> None:
        answer = http.get(path)

        assert (answer.status_code, answer.text) == (200, "Ok.\n")
        assert http.head(path).status_code == 200


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "status", "code"),
        [
            ("SELECT 1 +", 400, 62),
            ("SELECT 1; SELECT 2", 400, 62),
            ("SELECT nothing", 404, 47),
            ("SELECT * FROM nothing", 404, 60),
            ("SELECT file('/etc/hostname')", 403, 497),
            ("DROP TABLE orders", 403, 497),
            ("SELECT 1 SETTINGS readonly = 0", 403, 497),
            ("SELECT repeat('x', 1000000000)", 500, 241),
            ("SELECT number FROM numbers(10000)", 500, 396),
            ("SELECT throwIf(1)", 500, 395),
            ("SELECT '" + "x" * 290_000 + "'", 413, 412),
            ("SELECT 1 FORMAT Template", 404, 73),
        ],
    )
    def test_have_clickhouses_code_and_a_status(
        self, http: httpx2.Client, text: str, status: int, code: int
    ) -> None:
        answer = http.post("/sql", content=text)

        assert answer.status_code == status
        assert answer.headers["x-clickhouse-exception-code"] == str(code)
        assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"

    def test_only_what_may_pass_is_repeated_by_clients(self) -> None:
        assert {code for code in range(1100) if http_status(code) in (429, 503, 504)} == {
            202,
            209,
            210,
            439,
            1002,
        }

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_other_methods(self, http: httpx2.Client, method: str) -> None:
        assert http.request(method, "/sql").status_code == 405

    def test_a_body_that_unfolds_too_far(self, http: httpx2.Client) -> None:
        bomb = gzip.compress(b"SELECT 1 -- " + bytes(50_000_000))

        answer = http.post("/sql", content=bomb, headers={"Content-Encoding": "gzip"})

        assert answer.status_code == 413

    def test_the_body_is_limited_while_it_comes(self, http: httpx2.Client) -> None:
        answer = http.post("/sql", content=(b"x" * 65_536 for _ in range(8)))

        assert answer.status_code == 413

    def test_a_foreign_name_is_not_answered(self, http: httpx2.Client) -> None:
        answer = http.get("/sql", params={"query": "SELECT 1"}, headers={"Host": "rebound.example"})

        assert answer.status_code == 403


class TestBusy:
    async def test_more_than_may_wait_are_told_so_at_once(
        self, shop: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = SqlSettings(workers=1, queue=2)
        go_on = threading.Event()
        begun = threading.Semaphore(0)

        def slow(*_: object, **__: object) -> SqlAnswer:
            begun.release()
            go_on.wait()
            return SqlAnswer(b"1\n", "TabSeparated", "UTC", 1)

        monkeypatch.setattr(SqlService, "answer", slow)
        app = create_app(
            ApiSettings(), Routers(strict=[], open=[sql_router(shop, settings)]), loopback_only=True
        )
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            asked = [asyncio.create_task(http.get("/sql", params={"query": "SELECT 1"})) for _ in range(3)]
            try:
                for _ in asked:
                    await asyncio.to_thread(begun.acquire)
                refused = await http.get("/sql", params={"query": "SELECT 1"})
            finally:
                go_on.set()
            answers = await asyncio.gather(*asked)

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-clickhouse-exception-code"] == "202"
        assert [answer.text for answer in answers] == ["1\n"] * 3

    async def test_the_endpoint_can_be_switched_off(self, shop: Engine) -> None:
        router = sql_router(shop, SqlSettings(enabled=False))
        app = create_app(ApiSettings(), Routers(strict=[], open=[router]), loopback_only=True)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://localhost"
        ) as http:
            answer = await http.post("/sql", content="SELECT 1")

        assert answer.status_code == 403
        assert "api.sql.enabled" in answer.text


def test_what_happens_is_counted(http: httpx2.Client) -> None:
    def counted() -> dict[str, float]:
        return {
            outcome: REGISTRY.get_sample_value("lowtide_sql_statements_total", {"outcome": outcome}) or 0
            for outcome in ("answered", "refused", "malformed", "failed", "busy")
        }

    before = counted()
    for text in ("SELECT 1", "SELECT 2", "DROP TABLE orders", "SELECT 1 +", "SELECT nothing"):
        http.post("/sql", content=text)

    after = counted()
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {
        "answered": 2,
        "refused": 1,
        "malformed": 1,
        "failed": 1,
        "busy": 0,
    }
    assert b"nothing" not in generate_latest(REGISTRY)
