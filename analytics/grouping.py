"""What costs can be grouped by, and on what terms they are told. Apart from `analytics.cost`, since the
command's help must not load polars for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import Final

MOST_OVERHEAD: Final = 1_000_000
OVERHEAD_PLACES: Final = 9
"""Of the amount that is shared beside costs: how much an hour, and with how many decimals, at most."""


class By(StrEnum):
    """The key of a cost table's lines."""

    TEAM = "team"
    APPLICATION = "application"
    ENVIRONMENT = "environment"
    COST_CENTRE = "cost-centre"
    SERVICE = "service"
    WORKLOAD = "workload"
    NAMESPACE = "namespace"
    CLUSTER = "cluster"


class Treatment(StrEnum):
    """What becomes of capacity that nobody bears: a line of its own, or a part of everybody's."""

    SEPARATE = "separate"
    SHARED = "shared"


class Split(StrEnum):
    """How shared costs are divided: by what each line costs itself, or the same for each."""

    WEIGHTED = "weighted"
    EVEN = "even"


@dataclass(frozen=True, slots=True)
class CostTerms:
    """On what terms costs are told, as they are asked for: `filter` and `shared` are filters
    (`analytics.filters.grammar`), `overhead` is an amount an hour in the shown currency."""

    filter: str = ""
    shared: str = ""
    split: Split = Split.WEIGHTED
    idle: Treatment = Treatment.SEPARATE
    system: Treatment = Treatment.SEPARATE
    overhead: Decimal = Decimal(0)

    def told(self) -> dict[str, str | None]:
        """As parameters of a question; None is what goes without saying."""
        both = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        return {name: None if value == usual else str(value) for name, value, usual in both}


PLAIN: Final = CostTerms()
