"""Node-hours divided over containers, sidecars, idle capacity and the system; every cent accounted for."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.cost import By, cost_rows, identified
from analytics.costing import CostLines
from analytics.documents import CostRow
from analytics.lines import BY_CONTENTS, DEFAULT_RATES, NAME_SCHEMA, NO_SIZE, NO_SPOT_PRICE, named
from analytics.prices import PriceBook
from analytics.settings import AnalyticsSettings
from support.estates import NODE, SAMPLE, invented

GIB = 1024**3
NANO = 10**9
BOX = {"host_type": "box", "provider": "aws", "region": "eu-west-1"}


def amounts(costs: CostLines) -> dict[tuple[int | None, str], tuple[int, int]]:
    """CPU and memory in nano-USD, by workload and kind of line."""
    return {
        (row["workload_id"], row["line"]): (row["cpu_nano"], row["memory_nano"])
        for row in costs.lines.to_dicts()
    }


def table(
    costs: CostLines, estate: Any, by: By = By.WORKLOAD, rate: Decimal = Decimal(1)
) -> tuple[CostRow, ...]:
    return cost_rows(costs, identified(costs.names, estate.owned, AnalyticsSettings()), by, rate)


def an_hour(estate: Any, container: int, **what: Any) -> None:
    for at in range(0, 60, 5):
        estate.sample(container, at, **what)


def test_a_node_hour_by_hand(estate: Any, book: Any) -> None:
    """A box costs 20 cents: 12 for its 4 cores, 8 for its 16 GiB (default rates 3 and 0.5 cents).

    The application holds 1 core and 4 GiB, its sidecar half a core and 2 GiB; 3.5 cores and 14 GiB are
    allocatable.
    """
    one = estate()
    one.node(1, **BOX, cpu_allocatable=3.5, memory_allocatable=14.0 * GIB)
    one.container(11, workload=1)
    one.container(12, workload=1, container="istio-proxy")
    an_hour(one, 11, cpu_request=1.0, cpu_usage=0.25, memory_request=2.0 * GIB, memory_usage=4.0 * GIB)
    an_hour(one, 12, cpu_request=0.5, cpu_usage=0.5, memory_request=2.0 * GIB, memory_usage=0.5 * GIB)

    costs = one.costs(book)

    assert costs.totals.nodes_nano == 200_000_000
    assert amounts(costs) == {
        (1, "container"): (30_000_000, 20_000_000),
        (1, "sidecar"): (15_000_000, 10_000_000),
        (None, "idle"): (60_000_000, 40_000_000),
        (None, "system"): (15_000_000, 10_000_000),
    }
    used = dict(costs.lines.select("line", "used_nano").rows())
    assert used == {
        "container": 30_000_000 // 4 + 20_000_000,
        "sidecar": 15_000_000 + 10_000_000 // 4,
        "idle": 0,
        "system": 25_000_000,
    }


def test_the_same_as_a_table(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, **BOX, cpu_allocatable=3.5, memory_allocatable=14.0 * GIB)
    one.container(11, workload=1)
    one.container(12, workload=1, container="istio-proxy")
    for number in (11, 12):
        an_hour(one, number, cpu_request=0.5, memory_usage=2.0 * GIB)
    one.owner(1, team="checkout", application="shop")

    row, idle, system, total = table(one.costs(book), one, By.TEAM, Decimal(2))

    assert (row.name, row.line) == ("checkout", "direct")
    assert (row.cpu, row.memory, row.sidecars) == (Decimal("0.030"), Decimal("0.020"), Decimal("0.050"))
    assert (row.total, row.share) == (Decimal("0.100"), 0.25)
    assert row.unused == Decimal("0.060")  # the CPU of both was never used
    assert (idle.line, idle.total, idle.unused) == ("idle", Decimal("0.250"), Decimal("0.250"))
    assert (system.line, system.total, system.unused) == ("system", Decimal("0.050"), 0)
    assert (total.line, total.total, total.cpu, total.memory) == (
        "total", Decimal("0.400"), Decimal("0.210"), Decimal("0.140"),
    )  # fmt: skip


def test_containers_that_hold_more_than_the_node_has_share_its_price(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, **BOX)
    for workload in (1, 2):
        one.container(10 + workload, workload=workload)
        an_hour(one, 10 + workload, cpu_usage=4.0 * workload, memory_usage=16.0 * GIB)

    costs = one.costs(book)

    assert amounts(costs) == {
        (1, "container"): (40_000_000, 40_000_000),
        (2, "container"): (80_000_000, 40_000_000),
        (None, "idle"): (0, 0),
        (None, "system"): (0, 0),
    }


def test_an_empty_node_is_idle(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), **BOX)

    costs = one.costs(book)

    assert amounts(costs) == {(None, "idle"): (120_000_000, 80_000_000), (None, "system"): (0, 0)}


def test_only_the_time_that_samples_cover_is_priced(estate: Any, book: Any) -> None:
    """Heard for 20 minutes at 00:00 and from 02:00 to 02:30."""
    one = estate()
    one.node(1, at=[*range(0, 20, 5), *range(120, 150, 5)], **BOX)

    assert one.costs(book).totals.nodes_nano == round(200_000_000 * 50 / 60)


def test_a_node_of_a_type_without_price_stands_at_the_default_rates(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), host_type="unheard-of", cpu_capacity=2.0, memory_capacity=4.0 * GIB)

    costs = one.costs(book)

    assert costs.totals.nodes_nano == (2 * 30 + 4 * 5) * 1_000_000
    assert costs.totals.named_by(DEFAULT_RATES) == ("node-1",)


SPOT_BOX = {"vcpu": Decimal(4), "memory_gib": Decimal(16), "provider": "aws", "region": "eu-west-1"}
SPOT_RATES = (("vcpu", "vCPU-hour", "0.003"), ("memory", "GiB-hour", "0.001"))


@pytest.mark.parametrize(
    ("has_machine", "has_rates", "host_type", "hourly_nano", "told"),
    [
        (True, True, "box", 50_000_000, ((), ())),
        (False, True, "box", 200_000_000, ((), ("node-1",))),  # the type's own price before rates
        (True, True, "unheard-of", 28_000_000, (("node-1",), ())),
        (True, False, "unheard-of", 200_000_000, (("node-1",), ("node-1",))),
    ],
)
def test_a_spot_node_stands_at_its_spot_price_or_is_named(
    estate: Any, book: Any, price: Any, *, has_machine: bool, has_rates: bool, host_type: str,
    hourly_nano: int, told: tuple[tuple[str, ...], ...],
) -> None:  # fmt: skip
    own = [price("box", "hour", "0.05", spot=True, **SPOT_BOX)] if has_machine else []
    rates = [price(*rate, spot=True) for rate in SPOT_RATES] if has_rates else []
    one = estate()
    one.node(1, at=range(0, 60, 5), **{**BOX, "host_type": host_type}, capacity_type="spot")
    one.node(2, at=range(0, 60, 5), **BOX, capacity_type="on-demand")
    one.node(3, at=range(0, 60, 5), **BOX)

    costs = one.costs(PriceBook([*book.listings, *own, *rates]))

    assert costs.totals.nodes_nano == hourly_nano + 2 * 200_000_000
    assert (costs.totals.named_by(DEFAULT_RATES), costs.totals.named_by(NO_SPOT_PRICE)) == told
    assert sum(map(sum, amounts(costs).values())) == costs.totals.nodes_nano


def test_a_known_type_says_how_large_a_node_is_that_does_not(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), **BOX, cpu_capacity=0.0, memory_capacity=0.0)

    costs = one.costs(book)

    assert (
        costs.totals.nodes_nano,
        costs.totals.named_by(DEFAULT_RATES),
        costs.totals.named_by(BY_CONTENTS),
    ) == (200_000_000, (), ())


@pytest.mark.parametrize("is_known", [True, False])
def test_a_node_of_unknown_size_costs_what_its_containers_hold(
    estate: Any, book: Any, *, is_known: bool
) -> None:
    one = estate()
    if is_known:
        one.node(1, cpu_capacity=0.0, memory_capacity=0.0)
    one.container(11, workload=1)
    an_hour(one, 11, cpu_request=1.0, memory_usage=2.0 * GIB)

    costs = one.costs(book)

    assert amounts(costs)[1, "container"] == (30_000_000, 10_000_000)
    assert (costs.totals.nodes_nano, costs.totals.named_by(BY_CONTENTS)) == (40_000_000, ("node-1",))
    assert sum(map(sum, amounts(costs).values())) == 40_000_000


def test_a_node_of_which_only_what_is_allocatable_is_told(estate: Any, book: Any) -> None:
    """As the Collector's k8s_cluster receiver does, of a type in no price book: nothing is the system's."""
    one = estate()
    one.node(1, cpu_capacity=0.0, memory_capacity=0.0, cpu_allocatable=4.0, memory_allocatable=16.0 * GIB)
    one.container(11, workload=1)
    an_hour(one, 11, cpu_request=1.0, cpu_usage=0.5, memory_request=4.0 * GIB, memory_usage=4.0 * GIB)

    costs = one.costs(book)

    assert (
        costs.totals.nodes_nano,
        costs.totals.named_by(BY_CONTENTS),
        costs.totals.named_by(DEFAULT_RATES),
    ) == (200_000_000, (), ("node-1",))
    assert amounts(costs)[(1, "container")] == (30_000_000, 20_000_000)
    assert amounts(costs)[(None, "system")] == (0, 0)


def test_a_machine_of_unknown_size_and_type_is_named(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), cluster="", cpu_capacity=0.0, memory_capacity=0.0)

    costs = one.costs(book)

    assert (costs.totals.nodes_nano, costs.totals.named_by(NO_SIZE)) == (0, ("node-1",))


def test_a_node_whose_host_metrics_name_no_cluster_is_paid_for_once(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, at=range(0, 60, 5), **BOX)
    one.node(2, at=range(0, 60, 5), **BOX, cluster="", node="node-1")

    assert one.costs(book).totals.nodes_nano == 200_000_000


@pytest.mark.parametrize("both", [True, False])
def test_a_node_whose_containers_are_told_without_a_cluster_is_paid_for_once(
    estate: Any, book: Any, *, both: bool
) -> None:
    """As by a Prometheus without the external label `cluster`, beside a Collector that says it."""
    one = estate()
    one.node(1, at=range(0, 60, 5), **{**BOX, "host_type": ""})
    one.node(2, at=range(0, 60, 5), **BOX, cluster="", node="node-1")
    one.container(12, workload=2, cluster="")
    an_hour(one, 12, cpu_usage=1.0)
    if both:
        one.container(11, workload=1)
        an_hour(one, 11, cpu_usage=1.0)

    costs = one.costs(book)

    assert (costs.totals.nodes_nano, costs.totals.named_by(DEFAULT_RATES)) == (200_000_000, ())
    assert amounts(costs).keys() == {(1 if both else 2, "container"), (None, "idle"), (None, "system")}
    assert amounts(costs)[1 if both else 2, "container"] == (30_000_000, 0)


@pytest.mark.parametrize("value", [1e300, 1e20, float("inf"), float("nan"), -1.0])
@pytest.mark.parametrize(
    ("of_node", "name"),
    [
        (True, "cpu_capacity"), (True, "memory_capacity"), (True, "cpu_allocatable"),
        (True, "memory_allocatable"), (False, "cpu_usage"), (False, "memory_usage"), (False, "cpu_request"),
        (False, "memory_request"),
    ],
)  # fmt: skip
def test_a_number_that_nobody_can_mean_is_not_told(
    estate: Any, book: Any, *, of_node: bool, name: str, value: float
) -> None:
    """One of these is no reason for no answer."""
    told, nonsense = estate(), estate()
    unknown = None if name.endswith("usage") else 0.0
    for one, said in ((told, unknown), (nonsense, value)):
        one.node(1, **{**BOX, **({name: said} if of_node else {})})
        one.container(11, workload=1)
        an_hour(one, 11, **{"cpu_usage": 1.0, "memory_usage": 1.0 * GIB, **({} if of_node else {name: said})})

    assert amounts(nonsense.costs(book)) == amounts(told.costs(book))


def test_platform_workloads_are_shown_as_what_they_are(estate: Any, book: Any) -> None:
    one = estate()
    one.node(1, **BOX)
    one.container(11, workload=1, namespace="kube-system")
    one.container(12, workload=2)
    for number in (11, 12):
        an_hour(one, number, cpu_request=1.0)

    lines = {row.name: row.line for row in table(one.costs(book), one, By.TEAM)}

    assert lines == {
        "platform": "platform", "unowned": "unowned", "idle": "idle", "system": "system", "total": "total",
    }  # fmt: skip


def test_an_environment_that_only_resources_say_counts(estate: Any, book: Any) -> None:
    """cAdvisor and kube-state-metrics know none; the workload's spans do."""
    one = estate()
    one.node(1, **BOX)
    for workload, environment in ((1, ""), (2, "test")):
        one.container(10 + workload, workload=workload, environment=environment)
        an_hour(one, 10 + workload, cpu_request=1.0)
        one.owner(workload, environment="live")

    rows = {row.name for row in table(one.costs(book), one, By.ENVIRONMENT)}

    assert rows == {"live", "test", "idle", "system", "total"}


def test_nothing_at_all_is_a_table_with_a_total_of_nothing(estate: Any, book: Any) -> None:
    one = estate()

    (total,) = table(one.costs(book), one)

    assert (total.name, total.total, total.share, total.requests) == ("total", 0, None, None)


# --- what must always hold


@settings(max_examples=60)
@given(st.lists(NODE, min_size=1, max_size=3), st.lists(SAMPLE, max_size=25), st.integers(0, 180))
def test_lines_add_up_to_what_the_nodes_cost_and_none_is_negative(
    estate: Any, book: Any, nodes: list[dict[str, Any]], samples: list[dict[str, Any]], until: int
) -> None:
    one = invented(estate, nodes, samples)

    costs = one.costs(book, hours=(0, 1 + until / 60))

    amount = costs.lines.select(pl.col("cpu_nano", "memory_nano", "functions_nano").sum()).row(0)
    assert sum(amount) == costs.totals.nodes_nano
    for column in ("cpu_nano", "memory_nano", "functions_nano", "used_nano"):
        assert costs.lines.filter(pl.col(column) < 0).is_empty()
    bore = pl.col("cpu_nano") + pl.col("memory_nano")
    assert costs.lines.filter(pl.col("used_nano") > bore + 1000).is_empty()


@settings(max_examples=40)
@given(st.lists(NODE, min_size=1, max_size=3), st.lists(SAMPLE, max_size=25))
def test_every_grouping_has_the_same_total_and_its_lines_add_up(
    estate: Any, book: Any, nodes: list[dict[str, Any]], samples: list[dict[str, Any]]
) -> None:
    one = invented(estate, nodes, samples)
    costs = one.costs(book)
    rate = Decimal("0.9173")

    for by in By:
        *rows, total = table(costs, one, by, rate)
        assert total.total == Decimal(costs.totals.nodes_nano) / NANO * rate
        assert sum(row.total for row in rows) == total.total
        for row in (*rows, total):
            assert row.total == row.cpu + row.memory + row.sidecars + row.functions + row.storage
        assert len({(row.name, row.line) for row in rows}) == len(rows)


@settings(max_examples=25)
@given(st.lists(SAMPLE, min_size=1, max_size=25))
def test_what_the_containers_hold_never_changes_what_the_node_costs(
    estate: Any, book: Any, samples: list[dict[str, Any]]
) -> None:
    one = estate()
    one.node(1, at=range(0, 205, 5), **BOX)
    one.container(1, workload=1)
    for at in range(0, 205, 5):
        first = samples[at % len(samples)]
        one.sample(1, at, **{k: v for k, v in first.items() if k not in ("container", "at", "node")})

    alone = estate()
    alone.node(1, at=range(0, 205, 5), **BOX)

    hours = (0.0, 3.0)
    assert (
        one.costs(book, hours=hours).totals.nodes_nano
        == alone.costs(book, hours=hours).totals.nodes_nano
        == 600_000_000
    )


# --- requests, also of those whose cost nobody knows


def with_requests(costs: CostLines, owned: pl.DataFrame, requests: dict[int, float]) -> CostLines:
    """The costs of a window in which these workloads were asked, by number."""
    names = owned.select(*NAME_SCHEMA).cast(NAME_SCHEMA)  # type: ignore[arg-type]  # polars wants its keys invariant
    counted = {"workload_id": pl.UInt64, "requests": pl.Float64, "starts": pl.UInt64}
    return replace(
        costs,
        totals=replace(costs.totals, names=named([costs.names, names])),
        requests=pl.DataFrame(
            {
                "workload_id": list(requests),
                "requests": list(requests.values()),
                "starts": [1] * len(requests),
            },
            counted,
        ),
    )


def test_who_sends_requests_and_no_metrics_has_a_line_without_cost(estate: Any, book: Any) -> None:
    one = estate()
    one.owner(7, workload_kind="Service", namespace="shop", service_name="mine", team="payments")

    row, total = table(with_requests(one.costs(book), one.owned, {7: 200.0}), one, By.TEAM)

    assert (row.name, row.line, row.total, row.requests) == ("payments", "direct", 0, 200)
    assert row.per_million_requests is None, "it is not free; its cost is not known"
    assert (total.total, total.requests) == (0, 200)


@settings(max_examples=40)
@given(
    st.lists(NODE, min_size=1, max_size=2),
    st.lists(SAMPLE, max_size=8),
    st.dictionaries(st.integers(0, 9), st.integers(0, 10**6).map(float), min_size=1),
)
def test_the_requests_of_the_lines_add_up_to_the_totals_under_every_grouping(
    estate: Any,
    book: Any,
    nodes: list[dict[str, Any]],
    samples: list[dict[str, Any]],
    requests: dict[int, float],
) -> None:
    one = invented(estate, nodes, samples)
    for number in (5, 6, 7, 8):
        one.owner(
            number,
            team="red" if number % 2 else "",
            namespace="kube-system" if number == 6 else "shop",
            cluster="" if number == 7 else "fra",
            service_name="first",
        )
    known = [number for number in requests if number in (1, 2, 5, 6, 7, 8)]
    costs = with_requests(one.costs(book), one.owned, {number: requests[number] for number in known})

    for by in By:
        *rows, total = table(costs, one, by)
        assert sum(row.requests or 0 for row in rows) == (total.requests or 0)
        assert sum(row.requests or 0 for row in rows) == sum(requests[number] for number in known)
        assert sum(row.total for row in rows) == total.total


# --- which services are one


def test_services_of_the_same_name_in_two_namespaces_are_two(estate: Any, book: Any) -> None:
    one = estate()
    one.owner(1, service_namespace="shop", service_name="quote-api")
    one.owner(2, service_namespace="commerce", service_name="quote-api")
    one.owner(3, service_namespace="shop", service_name="upload-api")
    one.owner(4, workload_name="redis", namespace="carts")
    one.owner(5, workload_name="redis", namespace="search")

    asked = {number: 10.0 * number for number in range(1, 6)}
    *rows, _ = table(with_requests(one.costs(book), one.owned, asked), one, By.SERVICE)

    assert {(row.name, row.service_namespace, row.service, row.requests) for row in rows} == {
        ("shop/quote-api", "shop", "quote-api", 10),
        ("commerce/quote-api", "commerce", "quote-api", 20),
        ("upload-api", "shop", "upload-api", 30),
        ("carts/redis", "carts", "redis", 40),
        ("search/redis", "search", "redis", 50),
    }


def test_a_service_in_two_environments_is_one_and_names_them(estate: Any, book: Any) -> None:
    one = estate()
    one.owner(1, service_name="checkout-api", environment="staging")
    one.owner(2, service_name="checkout-api", environment="production")

    costs = with_requests(one.costs(book), one.owned, {1: 1.0, 2: 2.0})
    row, total = table(costs, one, By.SERVICE)
    (team, _) = table(costs, one, By.TEAM)

    assert (row.name, row.requests, row.environments) == ("checkout-api", 3, ("production", "staging"))
    assert (total.environments, team.environments) == ((), ())
    assert (total.service, team.service) == (None, None)
