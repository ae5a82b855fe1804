"""Cost tables of some only, with idle capacity, the system's part and shared costs shared out: whatever is
asked for, it is the same money."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.cost import By, cost_rows, identified
from analytics.cost_shares import Sharing
from analytics.costing import CostLines
from analytics.documents import CostRow
from analytics.errors import FilterError
from analytics.grouping import CostTerms, Split, Treatment
from analytics.lines import COSTS, LINE_SCHEMA, NAME_SCHEMA
from analytics.settings import AnalyticsSettings
from analytics.totals import Totals

NANO = 10**9
HOURS = Decimal(168)
ONE = Decimal(1)
TEAMS = {1: "red", 2: "red", 3: "blue", 4: "", 5: "blue"}
CLUSTERS = {1: "fra", 2: "iad", 3: "fra", 4: "iad", 5: "fra"}
WORKLOAD = st.sampled_from([1, 2, 3, 4, 5])
AMOUNT = st.integers(0, 10**12)
ROW = st.fixed_dictionaries({
    "workload_id": WORKLOAD, "line": st.sampled_from(["container", "sidecar", "machine"]),
    "cpu_nano": AMOUNT, "memory_nano": AMOUNT, "storage_nano": st.just(0),
}) | st.fixed_dictionaries({
    "workload_id": WORKLOAD, "line": st.just("volume"), "cpu_nano": st.just(0), "memory_nano": st.just(0),
    "storage_nano": AMOUNT,
})  # fmt: skip
CAPACITY = st.fixed_dictionaries({
    "line": st.sampled_from(["idle", "system"]), "cluster": st.sampled_from(["fra", "iad", "sin"]),
    "cpu_nano": AMOUNT, "memory_nano": AMOUNT,
})  # fmt: skip
TERMS = st.builds(
    CostTerms,
    shared=st.sampled_from(["", 'team:"red"', 'namespace:"kube-system"', 'cluster:"fra"', 'team~:""']),
    split=st.sampled_from(Split),
    idle=st.sampled_from(Treatment),
    system=st.sampled_from(Treatment),
    overhead=st.sampled_from([Decimal(0), Decimal("0.5"), Decimal("0.000000001")]),
)
OPPOSITES = {
    'team:"red"': 'team!:"red"',
    'team:"unowned" | cluster:"fra"': 'team!:"unowned" + cluster!:"fra"',
    'namespace~:"sh"': 'namespace!~:"sh"',
}


def costs_of(rows: list[dict[str, Any]], capacity: list[dict[str, Any]]) -> CostLines:
    """Costs with these lines, half of each used; nobody is asked for anything."""
    borne = [{**row, "cluster": CLUSTERS[row["workload_id"]], "functions_nano": 0} for row in rows]
    free = [{**row, "workload_id": None, "functions_nano": 0, "storage_nano": 0} for row in capacity]
    half = pl.sum_horizontal(*COSTS) // 2
    lines = (
        pl.DataFrame([*borne, *free], schema={**LINE_SCHEMA, "used_nano": pl.Int64}, orient="row")
        .with_columns(used_nano=pl.when(pl.col("workload_id").is_not_null()).then(half).otherwise(0))
        .group_by("workload_id", "cluster", "line")
        .agg(pl.col(*COSTS, "used_nano").sum())
    )
    names = [(number, cluster, "", "", "Deployment", f"w{number}") for number, cluster in CLUSTERS.items()]
    return CostLines(
        totals=Totals(lines=lines, names=pl.DataFrame(names, schema=NAME_SCHEMA, orient="row")),
        requests=pl.DataFrame(schema={"workload_id": pl.UInt64, "requests": pl.Float64}),
    )


@pytest.fixture(scope="session")
def workloads(estate: Any) -> Any:
    one = estate()
    for number, team in TEAMS.items():
        namespace = "kube-system" if number == 5 else "shop"
        one.owner(number, team=team, namespace=namespace, cluster=CLUSTERS[number])
    names = one.owned.select(*NAME_SCHEMA).cast(NAME_SCHEMA)
    return identified(names, one.owned, AnalyticsSettings())


def table(costs: CostLines, workloads: Any, terms: CostTerms, by: By = By.TEAM) -> tuple[CostRow, ...]:
    return cost_rows(costs, workloads, by, ONE, Sharing.of(terms, HOURS, ONE))


def total(costs: CostLines, workloads: Any, terms: CostTerms, by: By = By.TEAM) -> Decimal:
    *rows, whole = table(costs, workloads, terms, by)
    assert sum(row.total for row in rows) == whole.total
    for row in (*rows, whole):
        own = row.cpu + row.memory + row.sidecars + row.functions + row.storage
        assert row.total == own + row.idle + row.system + row.shared
        assert 0 <= row.unused <= row.total
    assert len({(row.name, row.line) for row in rows}) == len(rows)
    return whole.total


def divided(costs: CostLines, terms: CostTerms) -> Decimal:
    lines = sum(int(amount) for amount in costs.lines.select(pl.col(COSTS).sum()).row(0))
    return Decimal(lines) / NANO + terms.overhead * HOURS


many = st.lists(ROW, min_size=1, max_size=8), st.lists(CAPACITY, max_size=4)


@settings(max_examples=15)
@given(*many, TERMS)
def test_whatever_is_shared_the_total_is_what_there_is(
    workloads: Any, rows: list[Any], capacity: list[Any], terms: CostTerms
) -> None:
    costs = costs_of(rows, capacity)
    everybody_gives = not [row for row in table(costs, workloads, terms) if row.line in ("direct", "unowned")]

    for by in (By.TEAM, By.CLUSTER, By.SERVICE):
        expected = divided(costs, replace(terms, overhead=Decimal(0)) if everybody_gives else terms)
        assert total(costs, workloads, terms, by) == expected


@settings(max_examples=15)
@given(*many, TERMS, st.sampled_from(sorted(OPPOSITES)))
def test_selected_and_filtered_away_is_what_there_is(
    workloads: Any, rows: list[Any], capacity: list[Any], terms: CostTerms, only: str
) -> None:
    costs = costs_of(rows, capacity)
    here, there = (total(costs, workloads, replace(terms, filter=text)) for text in (only, OPPOSITES[only]))

    everything = table(costs, workloads, replace(terms, idle=Treatment.SHARED, system=Treatment.SHARED))

    # Under a filter, what nobody is there to take is nobody's.
    nobodys = sum(row.total for row in everything if row.line in ("idle", "system", "shared"))
    assert here + there == everything[-1].total - nobodys


@settings(max_examples=15)
@given(*many, TERMS, st.sampled_from(["red", "blue", "unowned"]))
def test_a_line_is_the_same_whether_others_are_looked_at_or_not(
    workloads: Any, rows: list[Any], capacity: list[Any], terms: CostTerms, team: str
) -> None:
    costs = costs_of(rows, capacity)

    before = [row for row in table(costs, workloads, terms) if row.name == team]
    after = table(costs, workloads, replace(terms, filter=f'team:"{team}"'))

    shown = [row for row in after if row.name == team]
    assert [row.model_copy(update={"share": None}) for row in shown] == [
        row.model_copy(update={"share": None}) for row in before
    ]


@settings(max_examples=15)
@given(*many, TERMS, st.sampled_from(["", *OPPOSITES]))
def test_idle_apart_is_the_same_money_as_idle_shared_out(
    workloads: Any, rows: list[Any], capacity: list[Any], terms: CostTerms, only: str
) -> None:
    costs = costs_of(rows, capacity)
    asked = replace(terms, filter=only)

    totals = {
        total(costs, workloads, replace(asked, idle=idle, system=system))
        for idle, system in product(Treatment, Treatment)
    }

    assert len(totals) == 1


def test_a_table_by_hand(workloads: Any) -> None:
    """Red and blue bear 3 and 1 of the CPU in fra; 4 are idle there, 2 the system's. Unowned has a volume."""
    costs = costs_of(
        [
            {
                "workload_id": 1,
                "line": "container",
                "cpu_nano": 3 * NANO,
                "memory_nano": 0,
                "storage_nano": 0,
            },
            {"workload_id": 3, "line": "container", "cpu_nano": NANO, "memory_nano": 0, "storage_nano": 0},
            {"workload_id": 4, "line": "volume", "cpu_nano": 0, "memory_nano": 0, "storage_nano": 2 * NANO},
        ],
        [
            {"line": "idle", "cluster": "fra", "cpu_nano": 4 * NANO, "memory_nano": 0},
            {"line": "system", "cluster": "fra", "cpu_nano": 2 * NANO, "memory_nano": 0},
        ],
    )
    requests = {"workload_id": pl.Series(list(TEAMS), dtype=pl.UInt64), "requests": 10.0}
    asked = replace(costs, requests=pl.DataFrame(requests))
    terms = CostTerms(idle=Treatment.SHARED, shared='team:"blue"')

    found = {row.name: row for row in table(asked, workloads, terms)}

    # Blue bears 1 + 1 of idle; red and unowned bear it as 3 : 2, what it is idle stays idle.
    assert set(found) == {"red", "unowned", "system", "total"}
    red, unowned = found["red"], found["unowned"]
    assert (red.cpu, red.idle, red.shared, red.total) == (3, Decimal("3.6"), Decimal("0.6"), Decimal("7.2"))
    assert (unowned.storage, unowned.idle, unowned.shared) == (2, Decimal("0.4"), Decimal("0.4"))
    assert found["system"].total == 2
    assert found["total"].total == 12
    assert red.unused == Decimal("1.5") + Decimal("3.6") + Decimal("0.3")
    assert (red.requests, unowned.requests, found["total"].requests) == (20, 10, 30)


def test_what_is_shared_by_everybody_has_a_line_of_its_own(workloads: Any) -> None:
    row = {"workload_id": 1, "line": "container", "cpu_nano": NANO, "memory_nano": 0, "storage_nano": 0}

    *rows, whole = table(costs_of([row], []), workloads, CostTerms(shared='team:"red"'))

    assert [(each.name, each.line, each.total) for each in rows] == [("shared", "shared", 1)]
    assert whole.total == 1


@pytest.mark.parametrize(("field", "name"), [("filter", "filter"), ("shared", "shared")])
def test_a_wrong_filter_is_told_with_its_name(field: str, name: str) -> None:
    with pytest.raises(FilterError, match=f"^{name}: at character 1: there is no field pod"):
        Sharing.of(replace(CostTerms(), **{field: 'pod:"x"'}), HOURS, ONE)
