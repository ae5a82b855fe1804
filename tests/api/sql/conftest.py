"""A database with a few rows, the endpoint's parts over it, and the endpoint itself on a real port.

    shop       the engine on a database of its own, with the tables `orders`, `daily` (states) and `payloads`
    service    what answers statements, with small limits
    ask        the answer to a statement, as text; raises SqlError
    handle     a session as statements get it: limited, then read-only
    read_state what the store holds and how it is made, to compare before and after
    served     the address of the API, with `/sql`, in a thread

The trap: all tests of the process share these; none may change what is in the database, which the endpoint
cannot do anyway.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
import uvicorn

from api.app import Routers, create_app
from api.settings import ApiSettings, SqlSettings
from api.sql.pool import limits
from api.sql.router import sql_router
from api.sql.service import SqlService
from ingest.store.engine import Engine, Session

MIB = 1024 * 1024
DATABASE = "lowtide_shop"
SMALL = SqlSettings(
    max_execution_s=2,
    max_memory_bytes=100 * MIB,
    max_result_rows=5_000,
    max_result_bytes=4 * MIB,
    max_rows_to_read=1_000_000,
)
_TABLES = """
CREATE TABLE orders (
    id UInt64, at DateTime64(3, 'UTC'), shop LowCardinality(String), price Decimal(12, 2),
    tags Array(String), attributes Map(LowCardinality(String), String)
) ENGINE = MergeTree ORDER BY (shop, at);

CREATE TABLE daily (day Date, amounts AggregateFunction(quantilesTDigest(0.5, 0.9), Float64))
ENGINE = AggregatingMergeTree ORDER BY day;

CREATE TABLE payloads (id UInt64, body JSON) ENGINE = MergeTree ORDER BY id;

INSERT INTO orders
SELECT
    number, toDateTime64('2026-11-02 08:00:00', 3, 'UTC') + number * 600,
    ['north', 'south', 'east'][number % 3 + 1], toDecimal64(number, 2) / 4,
    ['t' || toString(number % 5), 'all'], map('region', toString(number % 2))
FROM numbers(90);

INSERT INTO daily
SELECT toDate(at), quantilesTDigestState(0.5, 0.9)(toFloat64(price)) FROM orders GROUP BY 1;

INSERT INTO payloads VALUES (1, '{"user": {"name": "Ana"}, "n": 1}'), (2, '{"n": 2}')
"""

Ask = Callable[..., str]


@pytest.fixture(scope="session")
def shop(engine: Engine) -> Iterator[Engine]:
    opened = Engine.open(replace(engine.target, database=DATABASE))
    with opened.session() as session:
        for statement in _TABLES.split(";"):
            session.execute(statement)
        yield opened  # a session that stays, since the engine would end with the last one
    opened.close()


@pytest.fixture(scope="session")
def service(shop: Engine) -> Iterator[SqlService]:
    with SqlService(shop, SMALL) as made:
        yield made


@pytest.fixture(scope="session")
def ask(service: SqlService) -> Ask:
    def answer(statement: str, params: Mapping[str, str] | None = None, fmt: str = "TabSeparated") -> str:
        return service.answer(statement, params, default_format=fmt).body.decode()

    return answer


@pytest.fixture
def handle(shop: Engine) -> Iterator[Session]:
    with shop.session(limits(SMALL)) as session:
        yield session


@pytest.fixture(scope="session")
def served(shop: Engine) -> Iterator[str]:
    app = create_app(ApiSettings(), Routers(strict=[], open=[sql_router(shop, SMALL)]), loopback_only=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def read_state(shop: Engine) -> Callable[[], object]:
    """What the store holds and how it is made; equal before and after what must not change it."""

    def read() -> object:
        with shop.session() as session:
            made = session.rows(
                "SELECT database, name, toString(uuid), metadata_modification_time, create_table_query "
                "FROM system.tables WHERE database IN (currentDatabase(), 'default', 'system') ORDER BY ALL"
            )
            held = [
                session.value("SELECT sum(sipHash64(toString(tuple(*)))) FROM orders"),
                session.value("SELECT sum(sipHash64(toString(tuple(*)))) FROM payloads"),
            ]
            functions = session.value("SELECT count() FROM system.functions")
            databases = session.rows("SELECT name FROM system.databases ORDER BY name")
            return made, held, functions, databases

    return read
