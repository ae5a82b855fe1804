"""What functions cost: requests and GiB-seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from analytics.answers import Basis, cost_answer
from analytics.cost import By
from analytics.functions import function_lines, plans
from analytics.queries import owners
from analytics.settings import AnalyticsSettings
from ingest.signals import Signal
from ingest.store.engine import Session

KNOWN = ("aws", "eu-west-1", "lambda")


def cost(
    book: Any, midnight: datetime, requests: float, busy_s: float, mib: int, plan: tuple[str, str, str]
) -> dict[str, Any]:
    hours = pl.DataFrame({
        "workload_id": [1], "hour": [midnight], "requests": [requests], "busy_s": [busy_s],
        "memory_bytes": [mib * 1024.0 * 1024.0], "provider": [plan[0]], "region": [plan[1]],
        "platform": [plan[2]], "architecture": [""], "day": [midnight.date()],
    })  # fmt: skip
    (row,) = function_lines(hours, plans(hours, book)).to_dicts()
    return row


@pytest.mark.parametrize(
    ("requests", "busy_s", "mib", "nano"),
    [
        (1_000_000, 0.0, 512, 400_000_000),  # 0.40 USD for a million requests
        (0, 1000.0, 1024, 20_000_000),  # 1000 GiB-s at 20 micro-USD
        (0, 1000.0, 512, 10_000_000),
        (1000, 250.0, 256, 400_000 + 1_250_000),
        (2.5, 0.0, 128, 1000),  # counts corrected for sampling need not be whole
        (0, 0.0, 128, 0),
    ],
)
def test_requests_and_gib_seconds(
    book: Any, midnight: datetime, requests: float, busy_s: float, mib: int, nano: int
) -> None:
    row = cost(book, midnight, requests, busy_s, mib, KNOWN)

    assert (row["functions_nano"], row["listed"]) == (nano, True)


def test_a_plan_that_nobody_knows_is_the_default_one(book: Any, midnight: datetime) -> None:
    row = cost(book, midnight, 1_000_000, 0.0, 128, ("", "", ""))

    assert (row["functions_nano"], row["listed"]) == (200_000_000, False)


@pytest.mark.parametrize(
    ("requests", "busy_s", "mib", "gib_s"),
    [
        (100, 1.0, 128, 10 * 0.125),  # 10 ms each are billed as 100
        (100, 20.0, 128, 20 * 0.125),
        (100, 20.0, 129, 20 * 0.25),
        (100, 20.0, 1, 20 * 0.125),
        (0, 0.0, 128, 0.0),
    ],
)
def test_least_time_and_steps_of_memory(
    book: Any, midnight: datetime, requests: float, busy_s: float, mib: int, gib_s: float
) -> None:
    row = cost(book, midnight, requests, busy_s, mib, ("aws", "eu-west-1", "stepped"))

    assert row["functions_nano"] == round(gib_s * 20_000)


def test_a_function_that_says_nothing_of_itself(session: Session, telemetry: Any, tenant: str) -> None:
    """One in four is kept: 8 runs of 10 s at 128 MiB are 10 GiB-s, by the default plan."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    runs = [(start + timedelta(minutes=minute), 10.0) for minute in (1, 2)]
    telemetry.requests({"faas.name": "resize", "service.name": "resize"}, runs, trace_state="ot=th:c")
    telemetry.store()
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)

    answer = cost_answer(session, basis, by=By.SERVICE, window="5h", now=datetime.now(UTC), tenant=tenant)

    row, total = answer.rows
    assert (row.name, row.requests) == ("resize", 8)
    assert row.functions == row.total == total.total == Decimal("0.000168267")
    assert [note.split(",")[0] for note in answer.notes[:3]] == [
        "There are no usage metrics of nodes or containers in this window: only functions have a cost.",
        "estimated: 1 function without a plan in the price book",
        "estimated: 1 function without a memory size (faas.max_memory)",
    ]
    assert any(note.startswith("Some requests are sampled") for note in answer.notes)


@pytest.mark.parametrize("told", [str(512 * 2**20), "512", "536870912.0"])
def test_memory_is_in_bytes_or_as_older_conventions_have_it(
    session: Session, telemetry: Any, tenant: str, told: str
) -> None:
    """OpenTelemetry's faas.max_memory was in MiB once; the Go detector for Lambda said so until 2025
    (open-telemetry/opentelemetry-go-contrib, issue 7591).
    """
    function = {"faas.name": "resize", "faas.max_memory": told}
    telemetry.requests(function, [(datetime.now(UTC) - timedelta(hours=1), 1.0)])
    telemetry.store()

    (row,) = owners(session, tenant, AnalyticsSettings()).to_dicts()

    assert row["memory_bytes"] == 512 * 2**20


RECORDS = Path(__file__).parent / "data" / "functions"


def test_a_run_over_the_full_hour_is_one(session: Session, telemetry: Any, tenant: str) -> None:
    """It begins in an hour in which no run was reported, since that is done when it is over."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    function = {"faas.name": "resize", "cloud.provider": "aws", "cloud.platform": "aws_lambda"}
    for key, text in {**function, "cloud.region": "us-east-1"}.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    line = "REPORT RequestId: a\tDuration: 5000.00 ms\tBilled Duration: 5000 ms\tMemory Size: 1024 MB"
    ended_ns = (int(hour.timestamp()) + 3) * 10**9
    entry.scope_logs.add().log_records.add(time_unix_nano=ended_ns).body.string_value = line
    telemetry.body(Signal.LOGS, request.SerializeToString())
    telemetry.store()
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)

    answer = cost_answer(session, basis, by=By.SERVICE, window="5h", now=datetime.now(UTC), tenant=tenant)

    row, _ = answer.rows
    assert row.requests == 1
    assert row.functions == Decimal(200 + round(5 * Decimal("16666.7"))) / 10**9


def test_what_the_platform_reports_is_billed(session: Session, telemetry: Any, tenant: str) -> None:
    """Five runs and three memory sizes to the nano-dollar, whatever a sampled span says of the same hour; the
    hour after it has spans only.
    """
    start = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=4)
    function = {
        "faas.name": "resize", "cloud.provider": "aws", "cloud.region": "us-east-1",
        "cloud.platform": "aws_lambda", "host.arch": "amd64", "faas.max_memory": str(128 * 2**20),
    }  # fmt: skip
    runs = [(start, 100.0), (start + timedelta(hours=1), 1.0)]
    telemetry.requests(function, runs, trace_state="ot=th:c")
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key, text in function.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    records = entry.scope_logs.add().log_records
    for line in (RECORDS / "lambda_report.log").read_text("utf-8").splitlines():
        records.add(time_unix_nano=int(start.timestamp()) * 10**9).body.string_value = line
    telemetry.body(Signal.LOGS, request.SerializeToString())
    telemetry.store()
    basis = Basis.load(AnalyticsSettings(), "USD", UTC)

    answer = cost_answer(session, basis, by=By.SERVICE, window="5h", now=datetime.now(UTC), tenant=tenant)

    gib_ms = [
        128 * Decimal(200 + 3000 + 1542) / 1024, 3009 * Decimal(2521) / 1024, 3008 * Decimal(676) / 1024,
        128 * Decimal(4 * 1000) / 1024,
    ]  # fmt: skip
    requests = [3, 1, 1, 4]
    nano = sum(
        round(asked * 200 + held * Decimal("16.6667")) for asked, held in zip(requests, gib_ms, strict=True)
    )
    row, total = answer.rows
    assert row.functions == total.total == Decimal(nano) / 10**9
