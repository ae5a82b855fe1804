"""What costs can be grouped by. Apart from `analytics.cost`, since the command's help must not load polars
for it.
"""

from __future__ import annotations

from enum import StrEnum


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
