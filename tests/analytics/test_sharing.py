"""Idle capacity and shared costs, shared out: what OpenCost publishes, and what holds of any estate.

The numbers are those of OpenCost's `core/pkg/opencost/mock.go` (what there is) and `allocation_test.go` (what
is expected); 6e is the right answer to its issue 1124 and not the one published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.grouping import Split
from analytics.sharing import SHARED, shared_out

NANO = 10**9
RESOURCES = ("cpu", "gpu", "ram")
OTHERS = ("pv", "network", "lb")
NAMES = ("cluster", "node", "namespace", "pod", "container", "controller", "app", "env", "team", "service")
MOCK = """
cluster1 c1nodes namespace1 pod1    container1 -                        app1 env1 -     -
cluster1 c1nodes namespace1 pod-abc container2 deployment:deployment1   -    -    -     -
cluster1 c1nodes namespace1 pod-def container3 deployment:deployment1   -    -    -     -
cluster1 c1nodes namespace2 pod-ghi container4 deployment:deployment2   app2 env2 -     -
cluster1 c1nodes namespace2 pod-ghi container5 deployment:deployment2   app2 env2 -     -
cluster1 c1nodes namespace2 pod-jkl container6 daemonset:daemonset1     -    -    -     service1
cluster2 node1   namespace2 pod-mno container4 deployment:deployment2   app2 -    -     -
cluster2 node1   namespace2 pod-mno container5 deployment:deployment2   app2 -    -     -
cluster2 node2   namespace2 pod-pqr container6 daemonset:daemonset1     -    -    -     service1
cluster2 node2   namespace3 pod-stu container7 deployment:deployment3   -    -    team1 -
cluster2 node3   namespace3 pod-vwx container8 statefulset:statefulset1 -    -    team2 -
cluster2 node3   namespace3 pod-vwx container9 statefulset:statefulset1 -    -    team1 -
"""
IDLE_BY_CLUSTER = [("cluster1", "", 5, 0, 15), ("cluster2", "", 5, 0, 5)]
IDLE_BY_NODE = [
    ("cluster1", "c1nodes", 5, 0, 15),
    *(("cluster2", f"node{n}", Fraction(5, 3), 0, Fraction(5, 3)) for n in (1, 2, 3)),
]


def mock() -> pl.DataFrame:
    texts = [[None if text == "-" else text for text in line.split()] for line in MOCK.split("\n") if line]
    rows = pl.DataFrame(texts, schema=dict.fromkeys(NAMES, pl.String), orient="row")
    one = [pl.lit(NANO).alias(name) for name in (*RESOURCES, *OTHERS)]
    costs = rows.with_columns(one).with_columns(
        ram=pl.when(pl.col("container") == "container1").then(11 * NANO).otherwise("ram")
    )
    own = pl.sum_horizontal(*RESOURCES, *OTHERS)
    return costs.with_columns(own_nano=own, used_nano=own // 2).with_row_index("row")


def idle_of(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    nano = [(cluster, node, *(round(each * NANO) for each in amounts)) for cluster, node, *amounts in rows]
    schema = {"cluster": pl.String, "node": pl.String, **dict.fromkeys(RESOURCES, pl.Int64)}
    return pl.DataFrame(nano, schema=schema, orient="row")


def answer(
    by: str | Sequence[str],
    *,
    keep: pl.Expr | None = None,
    shared: pl.Expr | None = None,
    how: Split = Split.WEIGHTED,
    share_idle: bool = False,
    by_node: bool = False,
    overhead: int = 0,
) -> dict[str, float]:
    """The table in the mock's unit, with idle capacity under `idle`."""
    keys = [by] if isinstance(by, str) else list(by)
    unallocated = [pl.col(each).fill_null("unallocated") for each in keys]
    lines = mock().with_columns(
        key=pl.concat_str(unallocated, separator="/"),
        is_shared=pl.lit(value=False) if shared is None else shared.fill_null(value=False),
    )
    bucket = ["cluster", "node"] if by_node else ["cluster"]
    capacity = idle_of(IDLE_BY_NODE if by_node else IDLE_BY_CLUSTER)
    found = shared_out(
        lines, {"idle": capacity.select(*bucket, *RESOURCES)}, bucket=bucket, resources=RESOURCES, how=how,
        overhead_nano=overhead * NANO,
    )  # fmt: skip
    assert money(found.left_capacity["idle"], "^(cpu|gpu|ram)$") == 0
    kept = found.lines if keep is None else found.lines.filter(keep.fill_null(value=False))
    idle = pl.sum_horizontal("^(shared_)?idle_(cpu|gpu|ram)$")
    cost = pl.sum_horizontal("own_nano", *SHARED)
    table = kept.group_by("key").agg(cost=(cost + idle).sum() if share_idle else cost.sum())
    shown = {key: nano / NANO for key, nano in table.rows()}
    if not share_idle:
        shown["idle"] = kept.select(idle.sum()).item() / NANO
    return shown


ns1, ns2, ns3 = (pl.col("namespace") == f"namespace{n}" for n in (1, 2, 3))
cluster1 = pl.col("cluster") == "cluster1"
SEVEN = 7 * 24

CASES: dict[str, tuple[Callable[[], dict[str, float]], dict[str, float]]] = {
    "1a": (lambda: answer("cluster"), {"cluster1": 46, "cluster2": 36, "idle": 30}),
    "1b": (lambda: answer("namespace"), {"namespace1": 28, "namespace2": 36, "namespace3": 18, "idle": 30}),
    "1c": (
        lambda: answer("pod"),
        {"pod1": 16, "pod-vwx": 12, "pod-mno": 12, "pod-ghi": 12, "pod-abc": 6, "pod-def": 6, "pod-jkl": 6,
         "pod-pqr": 6, "pod-stu": 6, "idle": 30},
    ),
    "1f": (
        lambda: answer("controller"),
        {"deployment:deployment1": 12, "deployment:deployment2": 24, "deployment:deployment3": 6,
         "daemonset:daemonset1": 12, "statefulset:statefulset1": 12, "unallocated": 16, "idle": 30},
    ),
    "1g": (lambda: answer("service"), {"service1": 12, "unallocated": 70, "idle": 30}),
    "1h": (lambda: answer("app"), {"app1": 16, "app2": 24, "unallocated": 42, "idle": 30}),
    "1j": (lambda: answer("team"), {"team1": 12, "team2": 6, "unallocated": 64, "idle": 30}),
    "2d": (
        lambda: answer(["app", "env"]),
        {"app1/env1": 16, "app2/env2": 12, "app2/unallocated": 12, "unallocated/unallocated": 42, "idle": 30},
    ),
    "2e": (
        lambda: answer(["cluster", "app", "env"]),
        {"cluster1/app2/env2": 12, "cluster1/app1/env1": 16, "cluster1/unallocated/unallocated": 18,
         "cluster2/app2/unallocated": 12, "cluster2/unallocated/unallocated": 24, "idle": 30},
    ),
    "3a": (
        lambda: answer("namespace", share_idle=True),
        {"namespace1": 42.6875, "namespace2": 46.3125, "namespace3": 23},
    ),
    "4a": (
        lambda: answer("namespace", shared=ns3, how=Split.EVEN),
        {"namespace1": 37, "namespace2": 45, "idle": 30},
    ),
    "4b": (
        lambda: answer("namespace", shared=ns3),
        {"namespace1": 35.875, "namespace2": 46.125, "idle": 30},
    ),
    "4c": (
        lambda: answer("namespace", shared=pl.col("app") == "app1", how=Split.EVEN),
        {"namespace1": 17.3333, "namespace2": 41.3333, "namespace3": 23.3333, "idle": 30},
    ),
    "4d": (
        lambda: answer("namespace", overhead=SEVEN),
        {"namespace1": 85.36585, "namespace2": 109.7561, "namespace3": 54.87805, "idle": 30},
    ),
    "5a": (lambda: answer("cluster", keep=cluster1), {"cluster1": 46, "idle": 20}),
    "5b": (lambda: answer("cluster", keep=cluster1, share_idle=True), {"cluster1": 66}),
    "5c": (
        lambda: answer("namespace", keep=cluster1),
        {"namespace1": 28, "namespace2": 18, "idle": 20},
    ),
    "5d": (lambda: answer("cluster", keep=ns2), {"cluster1": 18, "cluster2": 18, "idle": 10.3125}),
    "6b": (lambda: answer("namespace", keep=ns2, share_idle=True), {"namespace2": 46.3125}),
    "6d": (lambda: answer("namespace", keep=ns2, overhead=SEVEN), {"namespace2": 109.7561, "idle": 10.3125}),
    "6e": (lambda: answer("namespace", keep=ns2, shared=ns1), {"namespace2": 54.6667, "idle": 20.1042}),
    "6f": (lambda: answer("namespace", keep=ns2, shared=ns1, share_idle=True), {"namespace2": 74.77083}),
    "6g": (
        lambda: answer("namespace", shared=ns1, share_idle=True),
        {"namespace2": 74.7708, "namespace3": 37.2292},
    ),
    "6i": (
        lambda: answer("namespace", keep=ns2, share_idle=True, overhead=SEVEN),
        {"namespace2": 120.0686},
    ),
    "6l": (
        lambda: answer("namespace", keep=ns2, share_idle=True, by_node=True),
        {"namespace2": 46.3125},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_as_opencost_publishes_it(case: str) -> None:
    found, expected = CASES[case]

    shown = found()

    assert shown == pytest.approx(expected, abs=1e-4)


def test_filtered_shared_and_idle_apart_come_to_74_7708() -> None:
    shown = answer("namespace", keep=ns2, shared=ns1)

    assert sum(shown.values()) == pytest.approx(54.6667 + 20.1042, abs=1e-4)


amount = st.integers(0, 10**12)


@st.composite
def estates(draw: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines in up to three clusters, of up to four keys, some of them shared; and their idle capacity."""
    count = draw(st.integers(1, 12))
    rows = []
    for row in range(count):
        cpu, ram, other = draw(amount), draw(amount), draw(amount)
        own = cpu + ram + other
        rows.append({
            "row": row, "cluster": draw(st.sampled_from("abc")),
            "key": draw(st.sampled_from(["k", "l", "m", None])), "cpu": cpu, "ram": ram,
            "own_nano": own, "used_nano": draw(st.integers(0, own)),
            "is_shared": draw(st.booleans()),
        })  # fmt: skip
    idle = [
        {"cluster": cluster, "cpu": draw(amount), "ram": draw(amount)}
        for cluster in draw(st.sets(st.sampled_from("abc")))
    ]
    schema = {"cluster": pl.String, "cpu": pl.Int64, "ram": pl.Int64}
    return pl.DataFrame(rows, schema_overrides={"key": pl.String}), pl.DataFrame(idle, schema=schema)


BORNE = "^(own_nano|(shared_)?(idle|system)_(cpu|ram)|shared_(un)?used_nano)$"


def money(frame: pl.DataFrame, columns: str) -> int:
    """All amounts of the columns of that form."""
    return sum(int(amount) for amount in frame.select(pl.col(columns).sum()).row(0))


@given(estates(), st.sampled_from(Split), amount)
def test_nothing_is_lost_or_made(estate: Any, how: Split, overhead: int) -> None:
    lines, idle = estate
    capacity = {"idle": idle, "system": idle.reverse()}

    found = shared_out(
        lines, capacity, bucket=["cluster"], resources=["cpu", "ram"], how=how, overhead_nano=overhead
    )

    left = sum(money(each, "^(cpu|ram)$") for each in found.left_capacity.values())
    given_up = money(found.left_lines, BORNE)
    divided = money(lines, "^own_nano$") + 2 * money(idle, "^(cpu|ram)$")
    assert money(found.lines, BORNE) + left + given_up == divided + (overhead if len(found.lines) else 0)
    assert found.lines["row"].to_list() == lines.filter(~pl.col("is_shared"))["row"].to_list()


@given(estates(), st.sampled_from(Split))
def test_as_exact_fractions_say_to_a_unit_a_share(estate: Any, how: Split) -> None:
    lines, capacity = estate

    found = shared_out(lines, {"idle": capacity}, bucket=["cluster"], resources=["cpu", "ram"], how=how)

    expected = by_fractions(lines.to_dicts(), capacity.to_dicts(), how)
    # Each amount is rounded by less than one unit, and a pot is the sum of rounded amounts.
    for row in found.lines.to_dicts():
        idle, shared = expected[row["row"]]
        assert abs(row["idle_cpu"] + row["idle_ram"] - idle) < 2
        got = sum(row[name] for name in (*SHARED, "shared_idle_cpu", "shared_idle_ram"))
        assert abs(got - shared) < 2 * len(lines) + 8


def by_fractions(
    lines: list[dict[str, Any]], capacity: list[dict[str, Any]], how: Split
) -> dict[int, tuple[Fraction, Fraction]]:
    """Idle and shared cost of every line, by another way: one line at a time, in exact fractions."""
    idle: dict[int, Fraction] = {}
    for line in lines:
        idle[line["row"]] = Fraction(0)
        for bucket in capacity:
            for name in ("cpu", "ram"):
                there = sum(each[name] for each in lines if each["cluster"] == bucket["cluster"])
                if bucket["cluster"] == line["cluster"] and there:
                    idle[line["row"]] += Fraction(bucket[name] * line[name], there)
    takers = [line for line in lines if not line["is_shared"]]
    pot = sum((line["own_nano"] + idle[line["row"]] for line in lines if line["is_shared"]), Fraction(0))
    shares = {}
    for line in takers:
        peers = takers if how is Split.WEIGHTED else [each for each in takers if each["key"] == line["key"]]
        own = sum(each["own_nano"] for each in peers)
        part = Fraction(line["own_nano"], own) if own else Fraction(1, len(peers))
        keys = 1 if how is Split.WEIGHTED else len({each["key"] for each in takers})
        shares[line["row"]] = pot * part / keys
    return {row: (idle[row], shares.get(row, Fraction(0))) for row in idle}


@given(estates(), st.sampled_from(Split))
def test_the_order_of_lines_does_not_matter(estate: Any, how: Split) -> None:
    lines, capacity = estate

    there, back = (
        shared_out(rows, {"idle": free}, bucket=["cluster"], resources=["cpu", "ram"], how=how).lines
        for rows, free in ((lines, capacity), (lines.reverse(), capacity.reverse()))
    )

    assert there.equals(back.select(there.columns))
