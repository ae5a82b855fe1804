"""Puts a bill beside what was computed for the same time: what both know, what only one of them does. Pure.

`analytics.answers` calls it. A resource is known by the last part of its id, or by its name: `i-0abc` of
an ARN is the node whose provider id or `host.id` is that. The traps: a charge that reaches over the edge of
the window is left out, since nobody knows how much of it falls inside; amounts of other currencies are
never converted, only told; and a name that several things have is the name of none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import Any, Final, Literal

import polars as pl

from analytics.bill_documents import BillRow, DiscountRow, ReconciledRow
from analytics.costing import CostLines
from analytics.money import usd
from ingest.counted import counted

_PARTS: Final = re.compile(r"[/:]")
_EXACT: Final = Context(prec=80, traps=[Inexact])
_NOTHING: Final = Decimal(0)
_LEVELS: Final = 3
"""Of names, see `known_as`."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has a cost here, and the names that a bill may have for it: `known_as`."""

    kind: Literal["node", "volume", "function"]
    cluster: str
    name: str
    instance_type: str
    computed: Decimal
    known_as: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result. Amounts are in the one currency that was compared."""

    rows: tuple[ReconciledRow, ...]
    discounts: tuple[DiscountRow, ...]
    notes: tuple[str, ...]

    def sum_of(self, status: str, amount: str) -> Decimal:
        """An amount of all rows of one status."""
        return _sum(getattr(row, amount) for row in self.rows if row.status == status)


def things(costs: CostLines, node_ids: pl.DataFrame, volume_ids: pl.DataFrame, rate: Decimal) -> list[Thing]:
    """Nodes, machines, volumes and functions with what each cost. `node_ids` and `volume_ids` as the queries
    of those names; `rate` are units of the shown currency for a US dollar. Functions of one name are one: a
    bill knows no more of them.
    """
    ids = _by_place(node_ids.select("cluster", "node", "ids"))
    handles = _by_place(volume_ids.select("cluster", "volume", "ids"))
    nodes = costs.totals.nodes.select(
        "cluster", "node", "host_type", nano=pl.col("cpu_nano") + pl.col("memory_nano")
    )
    called = Counter(nodes["node"])

    def names(cluster: str, node: str) -> tuple[frozenset[str], ...]:
        """With the ids that host metrics tell which do not say the cluster, if the node can be no other."""
        unplaced = ids.get(("", node), []) if called[node] == 1 else []
        return known_as(node, [*ids.get((cluster, node), []), *unplaced])

    found = [
        Thing("node", cluster, node, host_type, usd(nano) * rate, names(cluster, node))
        for cluster, node, host_type, nano in nodes.iter_rows()
    ]
    found += [
        Thing(
            "volume",
            cluster,
            volume,
            "",
            usd(nano) * rate,
            known_as(volume, handles.get((cluster, volume), ())),
        )
        for cluster, volume, nano in costs.totals.volumes.select("cluster", "volume", "nano").iter_rows()
    ]
    functions = (
        costs.lines.filter(pl.col("line") == "function")
        .join(costs.names.select("workload_id", "workload_name"), on="workload_id", how="left")
        .group_by(pl.col("workload_name").fill_null(""))
        .agg(pl.col("functions_nano").sum())
        .sort("workload_name")
    )
    found += [
        Thing("function", "", name, "", usd(nano) * rate, known_as(name))
        for name, nano in functions.iter_rows()
    ]
    return found


def _by_place(told: pl.DataFrame) -> Mapping[tuple[str, str], list[str]]:
    return {(cluster, name): ids for cluster, name, ids in told.iter_rows()}


def known_as(name: str, ids: Iterable[str] = ()) -> tuple[frozenset[str], ...]:
    """What a bill may call it, in lower case: its ids, its whole name, the first label of a DNS name. What
    stands before goes before.
    """
    whole = name.lower()
    return tuple(frozenset(names) - {""} for names in (ids, (whole,), (whole.partition(".")[0],)))


def reconciled(bill: pl.DataFrame, known: Sequence[Thing], currency: str) -> Reconciled:
    """`bill` as the query bill_resources returns it."""
    ours = bill.filter(
        (pl.col("currency") == currency) & (pl.col("category") == "Usage") & (pl.col("inside") == 1)
    )
    owners, shared = _by_name(known)
    seen: dict[int, list[dict[str, Any]]] = {}
    rows: list[ReconciledRow] = []
    in_doubt: set[str] = set()
    for line in ours.iter_rows(named=True):
        names = _called(line)
        number = next((owners[name] for name in names if name in owners), None)
        if number is None:
            rows.append(_only_in_bill(line))
            in_doubt |= shared & set(names)
        else:
            seen.setdefault(number, []).append(line)
    rows += [_matched(known[number], lines) for number, lines in seen.items()]
    rows += [_only_here(thing) for number, thing in enumerate(known) if number not in seen]
    rows.sort(key=lambda row: (-abs(row.difference), row.name, row.cluster, row.resource_id))
    return Reconciled(tuple(rows), tuple(_discounts(rows)), tuple(_notes(bill, currency, in_doubt)))


def _by_name(known: Sequence[Thing]) -> tuple[dict[str, int], set[str]]:
    """Whose a name is, by its place in `known`; and the names that are several things', and so nobody's."""
    owners: dict[str, int] = {}
    shared: set[str] = set()
    for level in range(_LEVELS):
        claims: dict[str, set[int]] = {}
        for number, thing in enumerate(known):
            for name in thing.known_as[level] - owners.keys() - shared:
                claims.setdefault(name, set()).add(number)
        owners |= {name: min(numbers) for name, numbers in claims.items() if len(numbers) == 1}
        shared |= {name for name, numbers in claims.items() if len(numbers) > 1}
    return owners, shared


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
        status="matched", kind=thing.kind, cluster=thing.cluster, name=thing.name,
        resource_id=first["resource_id"], provider=first["provider"], service=first["service"],
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
        status="only in lowtide", kind=thing.kind, cluster=thing.cluster, name=thing.name, resource_id="",
        provider="", service="",
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


def _notes(bill: pl.DataFrame, currency: str, in_doubt: Iterable[str]) -> Iterator[str]:
    if bill.is_empty():
        yield "There is no bill with a charge in this window (`lowtide bills list` has those there are)."
    for name in sorted(in_doubt):
        yield f"Not matched by name: {name}, since several things here are called so."
    others = sorted(set(bill["currency"]) - {currency})
    if others:
        named = ", ".join(others)
        yield f"Not compared: charges in {named}; amounts of different currencies are not added up."
    mine = bill.filter(pl.col("currency") == currency)
    over = mine.filter(pl.col("inside") == 0)
    if len(over):
        yield (
            f"Not compared: {counted(int(over['charges'].sum()), 'charge')} over the window's edge, "
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
