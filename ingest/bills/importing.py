"""Imports a bill: looks at all of it first, then stores its charges, then lets them count, by one insert.

`lowtide.serve.bills` calls `import_bill`, for the API and for the command alike. The rule: a file restates
every slice (billing account in a billing period) of which it has a row; what earlier files said of these is
replaced, of others kept. With `add` it comes beside them, for bills that come in several files. The same file
again changes nothing.

The trap: charges are stored in several inserts and may be broken off anywhere; they count only once
`bill_slices` names their import, so until then nothing has changed for anybody who asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from ingest.bills.charges import COLUMNS, TABLE, table_rows
from ingest.bills.checking import Wrong, check, told
from ingest.bills.errors import MOST_PROBLEMS, BillError
from ingest.bills.files import Bill, open_bill
from ingest.bills.focus import is_known, mandatory, version_of
from ingest.bills.report import BillReport, Slice
from ingest.bills.summing import Key, Sums
from ingest.counted import counted
from ingest.store.engine import Session
from ingest.store.frames import insert_frame
from ingest.store.sql import load_sql

MAX_UNPACKED_BYTES: Final = 16 * 1024**3
"""Of what a file unpacks to; only a part of it is ever in memory."""
_TIME: Final = pl.Datetime("us", "UTC")
_SLICE_COLUMNS: Final[dict[str, pl.DataType]] = {
    "tenant": pl.String(),
    "BillingAccountId": pl.String(),
    "BillingPeriodStart": _TIME,
    "import_id": pl.String(),
    "changed_at": _TIME,
    "live": pl.UInt8(),
    "BillingPeriodEnd": _TIME,
    "file": pl.String(),
    "digest": pl.String(),
    "focus_version": pl.String(),
    "rows": pl.UInt64(),
}
_FORGET_AFTER: Final = timedelta(days=1)
_MOMENT: Final = timedelta(microseconds=1)
Inserting = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class LiveSlice:
    """An import that counts in a slice."""

    key: Key
    import_id: str
    digest: str
    rows: int
    file: str
    version: str
    period_end: datetime
    changed_at: datetime
    """Since when, by the clock there was then."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds, all of which is in order."""

    version: str
    sums: Sums


def import_bill(
    session: Session,
    path: Path,
    name: str,
    *,
    tenant: str,
    now: datetime,
    add: bool = False,
    inserting: Inserting = nullcontext,
    limit_bytes: int = MAX_UNPACKED_BYTES,
) -> BillReport:
    """Import the file at `path`, which is called `name`. `inserting` holds off whoever looks at the store's
    parts meanwhile.

    Raises BillError with every problem of the file, StoreError, OSError; then nothing of it counts.
    """
    digest = _digest(path)
    live = live_slices(session, tenant)
    with open_bill(path, name, limit_bytes) as bill:
        survey = look_at(bill)
        sums = survey.sums
        touched = [one for one in live if one.key in sums.slices]
        same = [one for one in touched if one.digest == digest]
        if {one.key for one in same} == sums.slices.keys() and (add or len(same) == len(touched)):
            return _report(bill, survey, digest, same[0].import_id, "unchanged", ())
        replaced = same if add else touched
        import_id = f"{now:%Y%m%dT%H%M%S.%fZ}-{digest[:12]}"
        _store(session, bill, import_id, tenant, now, inserting)
        if _digest(path) != digest:
            raise BillError([f"{name} was changed while it was read; import it again once it is written"])
        with inserting():
            insert_frame(
                session, "bill_slices", _slice_rows(survey, name, digest, import_id, tenant, now, replaced)
            )
        _forget(session, tenant, now)
        return _report(bill, survey, digest, import_id, "imported", replaced)


def look_at(bill: Bill) -> Survey:
    """Read all of it and keep nothing but sums. Raises BillError."""
    version = version_of(bill.columns)
    if not any(bill.columns):
        raise BillError([f"{bill.name}: the file is empty"])
    if version is None:
        raise BillError([f"{bill.name}:1: these are not the columns of a FOCUS bill: {_some(bill.columns)}"])
    missing = [column for column in mandatory(version) if column not in bill.columns]
    if missing:
        raise BillError([
            f"{bill.name}:1: {column}: FOCUS {version} has this column in every file" for column in missing
        ])  # fmt: skip
    sums, wrong = Sums(), list[Wrong]()
    for first_row, batch in _numbered(bill):
        found = check(batch, first_row, MOST_PROBLEMS)
        wrong += found.wrong
        if len(wrong) >= MOST_PROBLEMS:
            break
        if not wrong:
            sums.add(found.charges)
            sums.zoneless += found.zoneless
    if wrong:
        first = sorted(wrong, key=lambda one: one.row)[:MOST_PROBLEMS]
        places = dict(bill.lines([one.row for one in first]))
        more = (
            [f"{bill.name}: and more; the first {MOST_PROBLEMS} are told"] if len(wrong) > len(first) else []
        )
        raise BillError([*told(first, places), *more])
    if not sums.rows:
        raise BillError([f"{bill.name}: there is no row in it"])
    return Survey(version, sums)


def live_slices(session: Session, tenant: str) -> Sequence[LiveSlice]:
    """What holds now. Raises StoreError."""
    rows = session.rows(load_sql("ingest.bills", "live_slices"), {"tenant": tenant})
    return [
        LiveSlice((account, start), import_id, digest, rows_, file, version, end, changed_at)
        for account, start, import_id, digest, rows_, file, version, end, changed_at in rows
    ]


def _store(
    session: Session, bill: Bill, import_id: str, tenant: str, now: datetime, inserting: Inserting
) -> None:
    for first_row, batch in _numbered(bill):
        found = check(batch, first_row, 1)
        rows = table_rows(found.charges, first_row, tenant=tenant, import_id=import_id, imported_at=now)
        with inserting():
            insert_frame(session, TABLE, rows)


def _numbered(bill: Bill) -> Iterator[tuple[int, pl.DataFrame]]:
    """Batches with the number of their first row."""
    row = 0
    for batch in bill.batches():
        yield row, batch
        row += len(batch)


def _slice_rows(
    survey: Survey,
    name: str,
    digest: str,
    import_id: str,
    tenant: str,
    now: datetime,
    replaced: Sequence[LiveSlice],
) -> pl.DataFrame:
    """The new import as live in all its slices, and what it replaces as not."""
    new = [
        (tenant, account, start, import_id, now, 1, end, name, digest, survey.version, rows)
        for (account, start), (end, rows) in survey.sums.slices.items()
    ]
    old = [
        (
            tenant,
            *one.key,
            one.import_id,
            max(now, one.changed_at + _MOMENT),  # the clock may have been set back
            0,
            one.period_end,
            one.file,
            one.digest,
            one.version,
            one.rows,
        )
        for one in replaced
    ]
    return pl.DataFrame([*new, *old], schema=_SLICE_COLUMNS, orient="row")


def _forget(session: Session, tenant: str, now: datetime) -> None:
    """Take away what does not count any more, some time after it stopped to."""
    bound = {"tenant": tenant, "before": (now - _FORGET_AFTER).replace(tzinfo=None)}
    if session.value(load_sql("ingest.bills", "dead_charges"), bound):
        session.execute(load_sql("ingest.bills", "forget_charges"), bound, {"mutations_sync": 2})


def _report(
    bill: Bill, survey: Survey, digest: str, import_id: str, status: str, replaced: Sequence[LiveSlice]
) -> BillReport:
    sums, version = survey.sums, survey.version
    gone: dict[Key, int] = {}
    for one in replaced:
        gone[one.key] = gone.get(one.key, 0) + one.rows
    there = set(bill.columns)
    extra = [name for name in bill.columns if name not in COLUMNS]
    services = sums.service_list()
    return BillReport.model_validate({
        "status": status, "import_id": import_id, "file": bill.name, "digest": digest,
        "format": bill.format, "focus_version": version, "rows": sums.rows,
        "slices": tuple(
            Slice(billing_account=account, period_start=start, period_end=end, rows=rows,
                  replaced_rows=gone.get((account, start), 0))
            for (account, start), (end, rows) in sorted(sums.slices.items())
        ),
        "totals": sums.total_list(), "services": services, "service_count": len(sums.services),
        "charges_from": sums.first, "charges_until": sums.last,
        "rows_without_resource": sums.without_resource, "rows_with_tags": sums.with_tags,
        "tag_keys": sums.tag_keys(),
        "missing_columns": tuple(sorted(name for name in COLUMNS - there if is_known(name, version))),
        "other_columns": tuple(name for name in extra if is_known(name, version) or name.startswith("x_")),
        "unknown_columns": tuple(
            name for name in extra if not is_known(name, version) and not name.startswith("x_")
        ),
        "notes": tuple(_notes(bill, sums)),
    })  # fmt: skip


def _notes(bill: Bill, sums: Sums) -> Iterator[str]:
    if bill.floats:
        yield (
            f"{_some(bill.floats)} came as floating point; the shortest decimal that means the same number "
            f"was taken."
        )
    if sums.zoneless:
        yield f"{counted(sums.zoneless, 'time')} without a zone, taken for UTC, as FOCUS has it."
    for column, rows in sorted((+sums.empty).items()):
        yield f"{column} is empty in {rows:,} of {counted(sums.rows, 'row')}, where FOCUS wants a name."
    if len(sums.totals) > 1:
        yield "There are several currencies; nothing is added up over them."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
