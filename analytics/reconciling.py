"""Puts a bill beside what was computed for the same time: what both know, what only one of them does. Pure.

`analytics.answers` calls it. A resource is known by the last part of its id, or by its name: `i-0abc` of
an ARN is the node whose provider id or `host.id` is that. The traps: a charge that reaches over the edge of
the window is left out, since nobody knows how much of it falls inside; and amounts of other currencies are
never converted, only told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import Any, Final, Literal

import polars as pl

from analytics.bill_documents import BillRow, DiscountRow, ReconciledRow
from analytics.costing import CostLines
from analytics.money import usd

_PARTS: Final = re.compile(r"[/:]")
_EXACT: Final = Context(prec=80, traps=[Inexact])
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has a cost here, and the names that a bill may have for it, in lower case."""

    kind: Literal["node", "function"]
    name: str
    instance_type: str
    computed: Decimal
    known_as: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result. Amounts are in the one currency that was compared."""

    rows: tuple[ReconciledRow, ...]
    discounts: tuple[DiscountRow, ...]
    notes: tuple[str, ...]

    def sum_of(self, status: str, amount: str) -> Decimal:
        """An amount of all rows of one status."""
        return _sum(getattr(row, amount) for row in self.rows if row.status == status)


def things(costs: CostLines, node_ids: pl.DataFrame, rate: Decimal) -> list[Thing]:
    """Nodes, machines and functions with what each cost. `node_ids` as the query of that name; `rate` are
    units of the shown currency for a US dollar.
    """
    ids: Mapping[str, list[str]] = dict(node_ids.select("node", "ids").iter_rows())
    found = [
        Thing("node", node, host_type, usd(nano) * rate, _names(node, ids.get(node, ())))
        for node, host_type, nano in costs.node_totals.select("node", "host_type", "nano").iter_rows()
    ]
    functions = costs.lines.filter(pl.col("line") == "function").join(
        costs.names.select("workload_id", "workload_name"), on="workload_id", how="left"
    )
    found += [
        Thing("function", name or "", "", usd(nano) * rate, _names(name or "", ()))
        for name, nano in functions.select("workload_name", "functions_nano").iter_rows()
    ]
    return found


def reconciled(bill: pl.DataFrame, known: Iterable[Thing], currency: str) -> Reconciled:
    """`bill` as the query bill_resources returns it."""
    ours = bill.filter(
        (pl.col("currency") == currency) & (pl.col("category") == "Usage") & (pl.col("inside") == 1)
    )
    left = {name: thing for thing in known for name in thing.known_as}
    unseen = {thing.name: thing for thing in left.values()}
    seen: dict[str, list[dict[str, Any]]] = {}
    rows: list[ReconciledRow] = []
    for line in ours.iter_rows(named=True):
        thing = next((left[name] for name in _called(line) if name in left), None)
        if thing is None:
            rows.append(_only_in_bill(line))
        else:
            unseen.pop(thing.name, None)
            seen.setdefault(thing.name, []).append(line)
    by_name = {thing.name: thing for thing in left.values()}
    rows += [_matched(by_name[name], lines) for name, lines in seen.items()]
    rows += [_only_here(thing) for thing in unseen.values()]
    rows.sort(key=lambda row: (-abs(row.difference), row.name, row.resource_id))
    return Reconciled(tuple(rows), tuple(_discounts(rows)), tuple(_notes(bill, currency)))


def bill_rows(listed: pl.DataFrame) -> tuple[BillRow, ...]:
    """The rows of the query bill_list as they are shown."""
    return tuple(
        BillRow(
            billing_account=row["billing_account"],
            billing_account_name=row["billing_account_name"],
            period_start=row["period_start_at"],
            period_end=row["period_end_at"],
            currency=row["currency"],
            providers=tuple(sorted(row["providers"])),
            imports=row["imports"],
            last_import_at=row["last_import_at"],
            charges=row["charges"],
            billed=_short(row["billed"]),
            effective=_short(row["effective"]),
        )
        for row in listed.iter_rows(named=True)
    )


def _names(name: str, ids: Iterable[str]) -> frozenset[str]:
    """The whole name, and the first label of a DNS name."""
    return frozenset({name.lower(), name.lower().partition(".")[0], *ids} - {""})


def _called(line: Mapping[str, Any]) -> tuple[str, ...]:
    tail = _PARTS.split(str(line["resource_id"]))[-1]
    return tuple(name.lower() for name in (tail, str(line["resource_name"])) if name)


def _matched(thing: Thing, lines: list[dict[str, Any]]) -> ReconciledRow:
    billed, effective, listed = (
        _sum(line[amount] for line in lines) for amount in ("billed", "effective", "list")
    )
    first = lines[0]
    types = (line["instance_type"] for line in lines)
    return ReconciledRow(
        status="matched", kind=thing.kind, name=thing.name, resource_id=first["resource_id"],
        provider=first["provider"], service=first["service"],
        instance_type=next((kind for kind in types if kind), thing.instance_type),
        billed=billed, effective=effective, list=listed, computed=thing.computed,
        difference=_EXACT.subtract(effective, thing.computed),
    )  # fmt: skip


def _only_in_bill(line: Mapping[str, Any]) -> ReconciledRow:
    return ReconciledRow(
        status="only in bill", kind="", name=line["resource_name"] or line["resource_id"] or line["service"],
        resource_id=line["resource_id"], provider=line["provider"], service=line["service"],
        instance_type=line["instance_type"], billed=_short(line["billed"]),
        effective=_short(line["effective"]), list=_short(line["list"]), computed=None,
        difference=_short(line["effective"]),
    )  # fmt: skip


def _only_here(thing: Thing) -> ReconciledRow:
    return ReconciledRow(
        status="only in lowtide", kind=thing.kind, name=thing.name, resource_id="", provider="", service="",
        instance_type=thing.instance_type, billed=None, effective=None, list=None, computed=thing.computed,
        difference=-thing.computed,
    )  # fmt: skip


def _discounts(rows: Iterable[ReconciledRow]) -> Iterator[DiscountRow]:
    """By instance type, from what the bill names so, and from nodes that are known to be one."""
    kinds: dict[str, list[ReconciledRow]] = {}
    for row in rows:
        if row.instance_type and row.effective is not None:
            kinds.setdefault(row.instance_type, []).append(row)
    for kind, those in sorted(kinds.items()):
        listed, effective = _sum(row.list for row in those), _sum(row.effective for row in those)
        computed = [row.computed for row in those if row.computed is not None]
        yield DiscountRow(
            instance_type=kind, resources=len(those), list=listed, effective=effective,
            computed=_sum(computed) if computed else None,
            factor=float(effective / listed) if listed else None,
        )  # fmt: skip


def _notes(bill: pl.DataFrame, currency: str) -> Iterator[str]:
    if bill.is_empty():
        yield "There is no bill with a charge in this window (`lowtide bills` lists those there are)."
    others = sorted(set(bill["currency"]) - {currency})
    if others:
        named = ", ".join(others)
        yield f"Not compared: charges in {named}; amounts of different currencies are not added up."
    mine = bill.filter(pl.col("currency") == currency)
    over = mine.filter(pl.col("inside") == 0)
    if len(over):
        yield (
            f"Not compared: {int(over['charges'].sum())} charges that reach over the window's edge, "
            f"{_sum(over['effective']):f} {currency} altogether."
        )
    for category, billed in (
        mine.filter((pl.col("category") != "Usage") & (pl.col("inside") == 1))
        .group_by("category")
        .agg(pl.col("billed").sum())
        .sort("category")
        .iter_rows()
    ):
        yield f"Not compared: {category} of {_short(billed):f} {currency}; only usage has a counterpart here."


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    total = _NOTHING
    for amount in amounts:
        total = _EXACT.add(total, amount or _NOTHING)
    return _short(total)


def _short(amount: Decimal) -> Decimal:
    """The same amount without zeros behind it."""
    return _EXACT.normalize(amount)
