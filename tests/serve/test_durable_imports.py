"""An import that is told as done survives a kill; one that might not is not told as done, however often."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from ingest.inventory.snapshot import Reading
from ingest.loader.loader import Loader
from ingest.loader.settings import LoaderSettings
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from ingest.store.checkpoints import Draft
from ingest.store.engine import Engine
from ingest.store.errors import StoreUnavailableError
from lowtide.serve.bills import Holding, StoreBills
from lowtide.serve.inventory import StoreInventory

BILL = Path(__file__).parents[1] / "ingest" / "bills" / "data" / "focus_1_2_aws.csv"
POD = b'{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1", "namespace": "shop"}}'


class FailingCheckpoints:
    """The disk takes no checkpoint the first two times it is asked, when everything was loaded."""

    disk_failed = False

    def __init__(self) -> None:
        self.asked = self.kept = 0

    def look(self, _session: Any) -> Draft:
        self.asked += 1
        if self.asked in (3, 4):
            raise OSError(errno.EIO, "Input/output error")
        return Draft(())

    def keep(self, _draft: Draft, _covered: Any) -> bool:
        self.kept += 1
        return True


@pytest.fixture
def checkpoints() -> FailingCheckpoints:
    return FailingCheckpoints()


@pytest.fixture
def holding(migrated: Engine, tmp_path: Path, checkpoints: FailingCheckpoints) -> Iterator[Holding]:
    with Spool.open(tmp_path / "spool", SpoolSettings(group_commit_ms=0)) as spool:
        loader = Loader(
            spool, migrated, LoaderSettings(trim_interval_s=3600), registry=CollectorRegistry(),
            checkpoints=cast("Any", checkpoints),
        )  # fmt: skip
        loader.start()
        assert loader.stop(60)
        assert checkpoints.asked == 2
        yield cast("Holding", SimpleNamespace(engine=migrated, loader=loader))


def take_bill(holding: Holding, tenant: str) -> str:
    return StoreBills(holding).take(BILL, BILL.name, tenant=tenant, add=False).status


def take_snapshot(holding: Holding, tenant: str) -> str:
    reading = Reading("pods.json")
    reading.feed(POD)
    taken_at = datetime(2026, 5, 1, tzinfo=UTC)
    inventory = StoreInventory(holding)
    return inventory.take(reading.finish(), tenant=tenant, cluster="c", taken_at=taken_at).status


@pytest.mark.parametrize("take", [take_bill, take_snapshot])
def test_an_import_without_a_checkpoint_is_no_success(
    holding: Holding, tenant: str, checkpoints: FailingCheckpoints, take: Callable[[Holding, str], str]
) -> None:
    """The second time everything is there already, but as little would survive."""
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="might not survive"):
            take(holding, tenant)
    kept = checkpoints.kept
    assert take(holding, tenant) == "unchanged"
    assert checkpoints.kept == kept + 1
