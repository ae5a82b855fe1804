"""One tenant asking for another one's rows, by every way that we could think of.

Every row of the other tenant carries WORD, so that it is enough to look for that word in answers and
errors. The engine confines; the guard refuses what it could get around. Where both would do, the engine
alone is asked too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.settings import SqlSettings
from api.sql.errors import SqlError, SqlRefusedError
from api.sql.pool import ReadPool, limits
from api.sql.service import SqlService
from api.sql.tenants import confinement
from ingest.store.engine import Engine, Session
from ingest.store.errors import StoreError

WORD = "kraken"
NAME = "aGVycmluZw=="
"""Our spans and metrics are called so. It can be decoded and the other's cannot, so that who fails there has
looked at the other's."""
ALONE = "tenants-alone"
"""A tenant with the same spans as ours, and nobody else's in the same part."""
SETTINGS = SqlSettings(max_execution_s=20)
_TRACES = """
INSERT INTO otel_traces (
    tenant, ServiceName, SpanName, TraceId, Timestamp, ResourceJson, SpanAttributes,
    `Events.Name`, `Events.Timestamp`, `Events.Attributes`
)
SELECT {tenant:String}, {word:String}, {name:String}, {word:String} || toString(number),
    now64(9) - toIntervalDay({days:UInt8}),
    toJSONString(map('service.name', {word:String})), map({name:String}, {word:String}),
    [{name:String}], [now64(9)], [map({name:String}, {word:String})]
FROM numbers(20)
"""
_SERIES = """
INSERT INTO metric_series (tenant, fingerprint, kind, MetricName, ServiceName, last_seen_at)
SELECT {tenant:String}, sipHash64({word:String}, number), 'gauge', {name:String}, {word:String}, now()
FROM numbers(20)
"""
_SAMPLES = """
INSERT INTO metric_samples (tenant, fingerprint, MetricName, TimeUnix, Value)
SELECT {tenant:String}, sipHash64({word:String}, number), {name:String}, now64(9), 1 FROM numbers(20)
"""
_LOGS = """
INSERT INTO otel_logs (tenant, ServiceName, Body, Timestamp)
SELECT {tenant:String}, {word:String}, {word:String}, now64(9) FROM numbers(20)
"""


def _read_ways(file: str) -> dict[str, dict[str, str]]:
    """The statements by section and name; those without a name by their text."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    ways: dict[str, dict[str, str]] = {}
    for part in text.split("\n---- ")[1:]:
        section, _, rest = part.partition("\n")
        found = ways.setdefault(section, {})
        for block in rest.split(";\n"):
            lines = [line for line in block.splitlines() if line]
            name = lines.pop(0)[3:] if lines and lines[0].startswith("-- ") else " ".join(lines)
            if lines:
                found[name] = "\n".join(lines)
    return ways


WAYS = _read_ways("tenant_attacks.sql")


@pytest.fixture(scope="module")
def tenants(migrated: Engine) -> tuple[str, str]:
    """Ours and the other one, with rows in the same parts."""
    mine, other = "tenants-mine", "tenants-other"
    with migrated.session() as session:
        for statement in (_TRACES, _SERIES, _SAMPLES, _LOGS):
            for tenant, word, name in ((mine, "herring", NAME), (other, WORD, WORD)):
                session.execute(statement, {"tenant": tenant, "word": word, "name": name, "days": 0})
        session.execute(_TRACES, {"tenant": ALONE, "word": "herring", "name": NAME, "days": 3})
        for table in ("otel_traces", "metric_series", "otel_logs"):
            session.execute(f"OPTIMIZE TABLE {table} FINAL")
    return mine, other


@pytest.fixture(scope="module")
def service(migrated: Engine) -> Iterator[SqlService]:
    with SqlService(migrated, SETTINGS) as made:
        yield made


@pytest.fixture
def ask(service: SqlService, tenants: tuple[str, str]) -> Callable[..., str]:
    def answer(statement: str, tenant: str | None = tenants[0], fmt: str = "TSV") -> str:
        return service.answer(statement, tenant=tenant, default_format=fmt).body.decode()

    return answer


@pytest.fixture
def handle(migrated: Engine, tenants: tuple[str, str]) -> Iterator[Session]:
    """What the engine alone allows: a confined handle without the guard before it."""
    with confined(migrated, tenants[0]) as session:
        yield session


@pytest.fixture(scope="module")
def lonely(migrated: Engine, tenants: tuple[str, str]) -> Iterator[Session]:
    """The same for the tenant that is alone."""
    with confined(migrated, ALONE) as session:
        yield session


@contextmanager
def confined(engine: Engine, tenant: str) -> Iterator[Session]:
    with engine.session() as own:
        settings = confinement(own, tenant)
    with engine.session({**settings, **limits(SETTINGS)}) as session:
        yield session


def test_the_rows_are_there_to_be_stolen(ask: Callable[..., str], tenants: tuple[str, str]) -> None:
    for whole in (
        "SELECT countIf(ServiceName = 'kraken') FROM otel_traces",
        "SELECT countIf(MetricName = 'kraken') FROM metric_series",
        "SELECT countIf(MetricName = 'kraken') FROM otel_metrics_gauge",
        "SELECT countIf(Body = 'kraken') FROM otel_logs",
    ):
        assert ask(whole, tenants[1]) == "20\n", whole
        assert ask(whole, None) == "20\n"
        assert ask(whole) == "0\n"
        own = "herring" if "MetricName" not in whole else NAME
        assert ask(whole.replace("kraken", own)) == "20\n"


ANSWERED = WAYS["answered"]


@pytest.mark.parametrize("way", ANSWERED)
def test_what_is_answered_has_nothing_of_the_others(
    ask: Callable[..., str], service: SqlService, way: str
) -> None:
    answer = ask(ANSWERED[way].replace("{db}", service.database))

    assert WORD not in answer
    assert "tenants-other" not in answer


ERRORS = WAYS["errors"]


@pytest.mark.parametrize("way", ERRORS)
def test_no_error_tells_of_the_others(ask: Callable[..., str], way: str) -> None:
    """A condition that fails for rows of another would say that they are there, or even quote them."""
    assert ask(ERRORS[way]) is not None


REFUSED = WAYS["refused"]


@pytest.mark.parametrize("way", REFUSED)
def test_what_gets_around_the_engine_is_refused(ask: Callable[..., str], way: str) -> None:
    with pytest.raises(SqlError) as caught:
        ask(REFUSED[way])

    assert WORD not in str(caught.value)


DICTIONARIES = WAYS["dictionaries"]
REFUSED_ON_DICTIONARIES = {**DICTIONARIES, **WAYS["dictionaries, to be sure"]}


@pytest.mark.parametrize("way", REFUSED_ON_DICTIONARIES)
def test_no_function_that_may_fail_sees_a_dictionary(
    ask: Callable[..., str], service: SqlService, way: str
) -> None:
    with pytest.raises(SqlRefusedError, match="for tokens of one tenant"):
        ask(REFUSED_ON_DICTIONARIES[way].replace("{db}", service.database))


@pytest.mark.parametrize("way", DICTIONARIES)
def test_the_engine_alone_looks_at_all_of_a_dictionary(
    handle: Session, lonely: Session, service: SqlService, way: str
) -> None:
    """Why the guard has to: they fail because of what the other tenant has. If one does not, the engine has
    changed.
    """
    sql = DICTIONARIES[way].replace("{db}", service.database)

    with pytest.raises(StoreError):
        handle.raw(sql, fmt="TSV")
    lonely.raw(sql, fmt="TSV")


ORDINARY = _read_ways("tenant_ordinary.sql")["ordinary"]


@pytest.mark.parametrize("way", ORDINARY)
def test_what_people_ask_is_answered(service: SqlService, tenants: tuple[str, str], way: str) -> None:
    params = {"service": "herring", "spans": f"['{NAME}']"}

    answer = service.answer(ORDINARY[way], params, tenant=tenants[0]).body

    assert answer
    assert WORD.encode() not in answer


def test_a_parameter_gives_no_name_that_is_not_looked_at(
    service: SqlService, tenants: tuple[str, str]
) -> None:
    sql = "SELECT base64Decode({c:Identifier}) FROM (SELECT SpanName AS {c:Identifier} FROM otel_traces)"
    for name in ("SpanName", "SpanId\\n        EXPRESSION", "SpanId, identifier: TraceId"):
        with pytest.raises(SqlRefusedError) as caught:
            service.answer(sql, {"c": name}, tenant=tenants[0])
        assert WORD not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT base64Decode(CAST(SpanName, 'String')) FROM otel_traces",
        "SELECT match('x', SpanName::String) FROM otel_traces",
        "SELECT arrayJoin(arrayMap(x -> base64Decode(x), Events.Name::Array(String))) FROM otel_traces",
        "SELECT bitTest(1, CAST(if(SpanName = 'kraken', 100, 1), 'UInt8')) FROM otel_traces",
    ],
)
def test_what_a_cast_takes_out_is_of_the_rows_only(ask: Callable[..., str], statement: str) -> None:
    assert WORD not in ask(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM system.tables LIMIT 1",
        "SELECT count() FROM otel_traces PREWHERE 1",
        "SELECT base58Encode(ServiceName) FROM otel_traces LIMIT 1",
        "WITH (x -> x) AS lower SELECT lower('A')",
        "SELECT x FROM (SELECT 1) AS t(x)",
    ],
)
def test_who_sees_all_may_still_ask_so(ask: Callable[..., str], statement: str) -> None:
    assert ask(statement, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SET additional_table_filters = {}",
        "SET readonly = 0",
        "SET optimize_move_to_prewhere = 1",
        "SELECT 1 FROM otel_traces SETTINGS additional_table_filters = {}",
        "SELECT 1 FROM otel_traces SETTINGS query_plan_optimize_prewhere = 1",
        "CREATE VIEW stolen AS SELECT * FROM otel_traces",
        "CREATE DICTIONARY stolen (id UInt64) PRIMARY KEY id SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)",
        "CREATE TABLE stolen ENGINE = Merge(currentDatabase(), 'otel')",
        "ALTER TABLE otel_traces UPDATE tenant = 'tenants-mine' WHERE 1",
    ],
)
def test_the_engine_alone_lets_nothing_of_it_be_changed(handle: Session, statement: str) -> None:
    with pytest.raises(StoreError):
        handle.execute(statement)


def test_settings_in_a_subquery_do_not_reach_the_filter(handle: Session) -> None:
    """The engine ignores them there; the guard refuses them anyway."""
    sql = (
        "SELECT groupUniqArray(s) FROM "
        "(SELECT ServiceName AS s FROM otel_traces SETTINGS additional_table_filters = {})"
    )
    assert handle.rows(sql) == [(["herring"],)]


@pytest.mark.parametrize("way", ANSWERED)
def test_the_engine_alone_confines(handle: Session, service: SqlService, way: str) -> None:
    sql = ANSWERED[way].replace("{db}", service.database)

    assert WORD not in handle.raw(sql, fmt="TSV").decode()


def test_every_table_is_confined(migrated: Engine, tenants: tuple[str, str], handle: Session) -> None:
    """Also those that a later migration brings: a table whose rows name no tenant gives nothing."""
    with migrated.session() as session:
        names = [name for (name,) in session.rows("SHOW TABLES")]
    with migrated.session() as session:
        filters = str(confinement(session, tenants[0])["additional_table_filters"])
        views = {
            name
            for (name,) in session.rows(
                "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
            )
        }

    assert len(names) > 60
    assert {name for name in names if f".{name}'" not in filters} == views
    for name in names:
        sql = f"SELECT * FROM `{name}` LIMIT 100"  # noqa: S608 - a name of our own
        assert WORD not in handle.raw(sql, fmt="TSV").decode(), name


@pytest.mark.parametrize(
    "tenant", ["it's", "a\\", "'} , 'x", "tenants-other' OR '1", "{x:String}", "a\nb", "%", ""]
)
def test_a_tenant_is_a_value_whatever_it_is_called(ask: Callable[..., str], tenant: str) -> None:
    assert ask("SELECT count() FROM otel_traces", tenant) == "0\n"


def test_statistics_do_not_count_the_rows_of_others(ask: Callable[..., str]) -> None:
    assert "rows_read" not in ask("SELECT DISTINCT ServiceName FROM otel_traces", fmt="JSON")


def test_no_tenant_gets_the_handle_of_another(migrated: Engine, tenants: tuple[str, str]) -> None:
    pool = ReadPool(migrated, SqlSettings(workers=2))
    counted: dict[str | None, list[Any]] = {None: [], tenants[0]: [], tenants[1]: []}
    try:
        for _ in range(3):
            for tenant in (tenants[0], None, tenants[1]):
                with pool.borrow(tenant) as session:
                    counted[tenant].append(session.value("SELECT groupUniqArray(tenant) FROM otel_traces"))
        assert len(pool._idle) <= 2
    finally:
        pool.close()

    assert counted[tenants[0]] == [[tenants[0]]] * 3
    assert counted[tenants[1]] == [[tenants[1]]] * 3
    assert {*tenants} <= set(counted[None][0])
