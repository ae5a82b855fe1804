"""Bills: the recorded samples, and small ones made from a few words."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ingest.bills.importing import import_bill
from ingest.bills.report import BillReport
from ingest.store.engine import Session

DATA = Path(__file__).parent / "data"
SAMPLES = ("focus_1_1_sample.csv", "focus_1_2_aws.csv", "focus_1_3_azure.csv", "focus_1_4_sample.csv")
ROW = {
    "BilledCost": "1.5", "BillingAccountId": "account-1", "BillingAccountName": "One",
    "BillingCurrency": "USD", "BillingPeriodStart": "2026-05-01T00:00:00Z",
    "BillingPeriodEnd": "2026-06-01T00:00:00Z", "ChargeCategory": "Usage", "ChargeClass": "",
    "ChargeDescription": "an hour", "ChargePeriodStart": "2026-05-04T00:00:00Z",
    "ChargePeriodEnd": "2026-05-04T01:00:00Z", "ContractedCost": "1.5", "EffectiveCost": "1.25",
    "InvoiceIssuerName": "Cloud", "ListCost": "2", "PricingQuantity": "1", "PricingUnit": "Hours",
    "ServiceCategory": "Compute", "ServiceName": "Machines", "ProviderName": "Cloud",
    "PublisherName": "Cloud", "ResourceId": "i-1", "Tags": '{"team":"shop"}',
}  # fmt: skip


def written(rows: Sequence[Mapping[str, str]], columns: Sequence[str] = ()) -> str:
    """CSV of rows that say only what is different from ROW."""
    names = list(columns) or list(dict.fromkeys([*ROW, *(key for row in rows for key in row)]))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows({**ROW, **row} for row in rows)
    return out.getvalue()


class Bills:
    """Imports of one tenant, a minute after each other; and what counts afterwards."""

    def __init__(self, session: Session, tenant: str, folder: Path) -> None:
        self.session, self.tenant, self.folder = session, tenant, folder
        self._minutes = count()

    def file(self, content: str | bytes, name: str = "bill.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def take(self, bill: str | bytes | Path, **more: Any) -> BillReport:
        path = bill if isinstance(bill, Path) else self.file(bill)
        now = datetime(2026, 6, 3, tzinfo=UTC) + timedelta(minutes=next(self._minutes))
        return import_bill(self.session, path, path.name, tenant=self.tenant, **{"now": now, **more})

    def rows(
        self, columns: str = "BillingAccountId, ResourceId, BilledCost", table: str = "bills"
    ) -> list[Any]:
        query = f"SELECT {columns} FROM {table} WHERE tenant = {{tenant:String}} ORDER BY ALL"  # noqa: S608
        return self.session.rows(query, {"tenant": self.tenant})


@pytest.fixture
def bills(session: Session, tenant: str, tmp_path: Path) -> Bills:
    return Bills(session, tenant, tmp_path)


@pytest.fixture(scope="session")
def write() -> Callable[..., str]:
    """`write(rows)` is CSV; a row says what is different from an ordinary one."""
    return written


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Path:
    """Each recorded sample."""
    return DATA / str(request.param)


@pytest.fixture(scope="session")
def samples() -> Mapping[str, Path]:
    """The recorded samples by version."""
    return {name[6:9].replace("_", "."): DATA / name for name in SAMPLES}
