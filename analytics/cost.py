"""Groups priced lines into the cost table: by team, application, environment, cost centre, service, workload,
namespace or cluster.

Pure functions; `analytics.answers` calls `cost_rows`. The trap: groups are sums of integers, and an amount
becomes a Decimal only when it is shown, so every grouping has the same total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

import polars as pl

from analytics.cost_shares import ADDED, AS_IT_IS, Sharing, shared_lines
from analytics.costing import CostLines
from analytics.documents import CostRow
from analytics.grouping import By
from analytics.lines import COSTS
from analytics.money import usd
from analytics.ownership.apply import owned
from analytics.ownership.rules import Ruleset
from analytics.settings import AnalyticsSettings

__all__ = ["OUTSIDE", "PLATFORM", "UNOWNED", "By", "cost_rows", "identified"]

UNOWNED: Final = "unowned"
PLATFORM: Final = "platform"
OUTSIDE: Final = "outside clusters"
NO_ENVIRONMENT: Final = "no environment"

NO_RULES: Final = Ruleset()

Line = Literal["direct", "platform", "unowned", "shared", "idle", "system", "total"]
_LINES: Final[Mapping[str, Line]] = {
    "direct": "direct", "platform": "platform", "unowned": "unowned", "shared": "shared", "idle": "idle",
    "system": "system", "total": "total",
}  # fmt: skip
_ORDER: Final = ("direct", "unowned", "shared", "idle", "system", "total")


def identified(
    names: pl.DataFrame,
    owners: pl.DataFrame,
    settings: AnalyticsSettings,
    ruleset: Ruleset = NO_RULES,
    asked: Sequence[str] = (),
) -> pl.DataFrame:
    """Every workload with what it is called and who it belongs to; empty texts become names that can be
    shown. `asked` are columns of `owners` that are kept beside.

    Out: the columns of `names` and `service_namespace, service, service_shown, team, application, role,
    owned_environment, cost_centre, is_platform`, and the columns of `apply.FROM`. `environment` is what the
    workload says of itself, by which it is known. `service_shown` has the namespace before the name only
    where the name alone could be another's.
    """
    platform = pl.col("namespace").is_in(settings.platform_namespaces) & (pl.col("cluster") != "")
    nobody = pl.when(platform).then(pl.lit(PLATFORM)).otherwise(pl.lit(UNOWNED))
    return (
        owned(described(names, owners, (*ruleset.columns(), *asked)), ruleset)
        .drop(name for name in ruleset.columns() if name not in asked)
        .with_columns(
            service=pl.when(pl.col("service_name") != "").then("service_name").otherwise("workload_name"),
            # What sends no traces says no service either; then Kubernetes tells namesakes apart.
            service_namespace=pl.when((pl.col("service_namespace") != "") | (pl.col("service_name") != ""))
            .then("service_namespace")
            .otherwise("namespace"),
            team=pl.when(pl.col("owned_team") != "").then("owned_team").otherwise(nobody),
            application=pl.when(pl.col("owned_application") != "")
            .then("owned_application")
            .otherwise(nobody),
            cost_centre=pl.when(pl.col("owned_cost_centre") != "")
            .then("owned_cost_centre")
            .otherwise(nobody),
            is_platform=platform,
        )
        .with_columns(
            service_shown=pl.when(pl.col("service_namespace").n_unique().over("service") > 1)
            .then(_path("service_namespace", "service"))
            .otherwise("service")
        )
        .drop("service_name", "owned_team", "owned_application", "owned_cost_centre")
    )


def described(names: pl.DataFrame, owners: pl.DataFrame, asked: Iterable[str]) -> pl.DataFrame:
    """Every workload with what it says of itself, labels and attributes of the names `asked` too; what nobody
    says is empty. What tells of its use may know no environment, which its resources then say.
    """
    known = owners.select(
        "workload_id", "service_namespace", "service_name", "team", "application", "role",
        *dict.fromkeys(asked), said_environment="environment",
    )  # fmt: skip
    said = pl.when(pl.col("environment") != "").then("environment").otherwise("said_environment")
    return (
        names.join(known, on="workload_id", how="left")
        .with_columns(pl.col(pl.String).fill_null(""))
        .with_columns(environment=said)
        .drop("said_environment")
    )


def cost_rows(
    costs: CostLines, workloads: pl.DataFrame, by: By, rate: Decimal, sharing: Sharing = AS_IT_IS
) -> tuple[CostRow, ...]:
    """The lines of the table, the most expensive first, then what nobody owns, idle, system and the total.

    `workloads` as `identified` returns them; `rate` are units of the shown currency for a US dollar. Raises
    FilterError for a field of `sharing` that is not known.
    """
    named = costs.lines.join(workloads.drop("cluster"), on="workload_id", how="left")
    lines = shared_lines(named, _names(by), sharing).with_columns(
        sidecars_nano=_amount_of("sidecar"),
        **{
            f"{name}_nano": _amount_of(
                "container", "machine", "shared", "idle", "system", column=f"{name}_nano"
            )
            for name in ("cpu", "memory")
        },
        total_nano=pl.sum_horizontal(*COSTS, *ADDED),
    )
    # A workload without any cost is a line as well: its requests are in the total.
    asked_of = (
        costs.requests.select("workload_id", "requests")
        .join(workloads, on="workload_id", how="left")
        .filter(sharing.is_meant() & ~sharing.is_shared())
    )
    both = pl.concat(
        [lines, asked_of.with_columns(is_borne=pl.lit(value=True), line=pl.lit(""))], how="diagonal"
    )
    amounts = (*COSTS, *ADDED, "sidecars_nano", "total_nano", "used_nano")
    keys = ("name", "shown", "service_namespace", "service")
    groups = (
        both.with_columns(_key(by))
        .group_by(keys)
        .agg(
            pl.col(amounts).sum(),
            pl.when(pl.col("requests").count() > 0).then(pl.col("requests").sum()).alias("requests"),
            pl.col("is_platform").all().alias("all_platform"),
            environments=pl.col("owned_environment")
            .filter(pl.col("owned_environment") != "")
            .unique()
            .sort(),
        )
        .with_columns(
            shown=pl.when((pl.col("shown") == "direct") & pl.col("all_platform"))
            .then(pl.lit("platform"))
            .otherwise("shown")
        )
    )
    whole = groups.select(pl.col(amounts).sum()).row(0, named=True)
    asked = asked_of["requests"].sum() if len(asked_of) else None
    rows = [_row(group, rate, whole["total_nano"]) for group in _ordered(groups)]
    total = {**whole, "name": "total", "shown": "total", "requests": asked, "service": None}
    return (*rows, _row(total, rate, whole["total_nano"]))


def _amount_of(*lines: str, column: str = "") -> pl.Expr:
    amount = pl.col(column) if column else pl.col("cpu_nano") + pl.col("memory_nano")
    return pl.when(pl.col("line").is_in(lines)).then(amount).otherwise(0)


def _key(by: By) -> list[pl.Expr]:
    """Columns that say of a line: the name of its group, the kind of line it is shown as, and if lines are
    services, which one.
    """
    borne = pl.col("is_borne")
    capacity = pl.col("line")
    if by is By.CLUSTER:
        capacity = pl.concat_str(pl.col("line"), pl.lit(" of "), _names(By.CLUSTER))
    group = pl.when(borne).then(_names(by)).otherwise(capacity)
    return [
        group.alias("name"),
        pl.when(~borne)
        .then("line")
        .when(group == UNOWNED)
        .then(pl.lit(UNOWNED))
        .otherwise(pl.lit("direct"))
        .alias("shown"),
        *(
            pl.when(borne & pl.lit(by is By.SERVICE)).then(pl.col(name)).alias(name)
            for name in ("service_namespace", "service")
        ),
    ]


def _names(by: By) -> pl.Expr:
    """What the group of a workload's line is called."""
    names = {
        By.TEAM: pl.col("team"),
        By.APPLICATION: pl.col("application"),
        By.ENVIRONMENT: pl.when(pl.col("owned_environment") != "")
        .then("owned_environment")
        .otherwise(pl.lit(NO_ENVIRONMENT)),
        By.COST_CENTRE: pl.col("cost_centre"),
        By.SERVICE: pl.col("service_shown"),
        By.WORKLOAD: _path("cluster", "namespace", "workload_name"),
        By.NAMESPACE: _path("cluster", "namespace"),
        By.CLUSTER: pl.when(pl.col("cluster") != "").then("cluster").otherwise(pl.lit(OUTSIDE)),
    }
    return names[by]


def _path(*columns: str) -> pl.Expr:
    """The parts that are not empty, with slashes between."""
    parts = [pl.when(pl.col(name) != "").then(pl.col(name)) for name in columns]
    return pl.concat_str(parts, separator="/", ignore_nulls=True)


def _ordered(groups: pl.DataFrame) -> Sequence[dict[str, object]]:
    place = (
        pl.col("shown")
        .replace("platform", "direct")
        .replace_strict(list(_ORDER), list(range(len(_ORDER))), return_dtype=pl.Int8)
    )
    return groups.sort(place, "total_nano", "name", descending=[False, True, False]).to_dicts()


def _row(group: Mapping[str, object], rate: Decimal, whole_nano: int) -> CostRow:
    def money(column: str) -> Decimal:
        return usd(_integer(group[column])) * rate

    total = _integer(group["total_nano"])
    asked = group["requests"]
    requests = asked if isinstance(asked, float) else None
    borne = group["shown"] not in ("idle", "system", "shared")
    each = money("total_nano") * 1_000_000 / Decimal(str(requests)) if requests and borne and total else None
    service = group["service"]
    environments = group["environments"] if service is not None else ()
    return CostRow(
        name=str(group["name"]),
        line=_LINES[str(group["shown"])],
        cpu=money("cpu_nano"),
        memory=money("memory_nano"),
        sidecars=money("sidecars_nano"),
        functions=money("functions_nano"),
        storage=money("storage_nano"),
        idle=money("idle_nano"),
        system=money("system_nano"),
        shared=money("shared_nano"),
        total=money("total_nano"),
        share=total / whole_nano if whole_nano else None,
        unused=usd(total - _integer(group["used_nano"])) * rate,
        requests=requests,
        per_million_requests=None if each is None else round(each, 9),
        service_namespace=None if service is None else str(group["service_namespace"]),
        service=None if service is None else str(service),
        environments=tuple(environments) if isinstance(environments, list) else (),
    )


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
