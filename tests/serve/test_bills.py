"""Bills and real processes: through a server and without one, and what a kill leaves of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

DATA = Path(__file__).parents[1] / "ingest" / "bills" / "data"
AWS = str(DATA / "focus_1_2_aws.csv")
QUERY = "SELECT BillingAccountId, toString(sum(BilledCost)) AS billed FROM bills GROUP BY ALL ORDER BY ALL"
BILLED = [
    {"BillingAccountId": "100000000001", "billed": "38.556572"},
    {"BillingAccountId": "100000000002", "billed": "571.653722"},
]


def run(launch: Any, *arguments: str, code: int = 0) -> tuple[str, str]:
    running = launch(*arguments)
    assert running.process.wait(120) == code, running.told()
    return running.out.read_text(), running.told()


def test_through_a_server_and_after_a_kill(launch: Any) -> None:
    server = launch.serve()
    shown, told = run(launch, "import", "bill", AWS, "--output", "json")
    assert [(row["billing_account"], row["rows"]) for row in json.loads(shown)["slices"]] == [
        ("100000000001", 1), ("100000000002", 3),
    ]  # fmt: skip
    assert "FOCUS 1.2 (CSV), 4 rows" in told
    assert "610.210294 USD" in told
    assert server.rows(QUERY) == BILLED
    listed = json.loads(run(launch, "bills", "list", "-o", "json")[0])
    assert [(row["billing_account"], row["currency"], row["billed"]) for row in listed] == [
        ("100000000001", "USD", "38.556572"), ("100000000002", "USD", "571.653722"),
    ]  # fmt: skip
    assert "571.65" in run(launch, "bills", "list")[0].split()

    server.kill()
    again = launch.serve()

    assert again.rows(QUERY) == BILLED
    assert "counts already; nothing was changed" in run(launch, "import", "bill", AWS)[1]
    assert again.rows(QUERY) == BILLED
    assert not list((again.data / "tmp").glob("bill-*"))


def test_a_broken_one_is_refused_with_its_lines(launch: Any, tmp_path: Path) -> None:
    server = launch.serve()
    lines = Path(AWS).read_text().splitlines(keepends=True)
    bad = tmp_path / "bad.csv"
    bad.write_text("".join([*lines[:2], lines[2].replace("0.064032", "free", 1), *lines[3:]]))

    shown, told = run(launch, "import", "bill", str(bad), code=1)

    assert shown == ""
    assert told.startswith("Error: bad.csv:3: EffectiveCost: 'free' is no number. Nothing was imported")
    assert "Traceback" not in told
    assert server.rows("SELECT count() AS n FROM bill_charges") == [{"n": 0}]


def test_without_a_server(launch: Any, tmp_path: Path) -> None:
    """Into a directory that nothing was in; the next server has it."""
    _, told = run(launch, "import", "bill", AWS)
    assert "4 rows" in told
    assert "counts already" in run(launch, "import", "bill", AWS)[1]
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n")
    assert "these are not the columns of a FOCUS bill" in run(launch, "import", "bill", str(bad), code=1)[1]

    window = "2026-05-01T00:00:00Z/2026-06-01T00:00:00Z"
    shown, told = run(launch, "bills", "compare", "--window", window, "-o", "json")
    assert [(row["status"], row["service"], row["effective"]) for row in json.loads(shown)] == [
        ("only in bill", "AmazonCloudWatch", "38.556572"),
        ("only in bill", "AmazonVPC", "10.733402"),
        ("only in bill", "AmazonEC2", "0.064032"),
    ]
    assert "Not compared: Purchase of 560.92032 USD" in told
    assert "m6i.large: 0.667 of the list price" in told
    assert "both know: 0.00 USD; only in the bill: 49.35 USD; computed only here: 0.00 USD." in told
    assert "no bill with a charge in this window (`lowtide bills list`" in run(launch, "bills", "compare")[1]

    server = launch.serve()

    assert server.rows(QUERY) == BILLED
    assert [row["status"] for row in server.get("/api/v1/bills/reconciliation", window=window)["rows"]] == [
        "only in bill"
    ] * 3
