"""What the answers about owners look like: the models that the API serves and the command reads back. No
logic. The contract is that of `analytics.documents`: a field may be added, but not renamed.
"""

from __future__ import annotations

from pydantic import Field

from analytics.documents import Answer, Document, Money


class OwnerRow(Document):
    """A workload and whose it is."""

    name: str = Field(description="Cluster, namespace and name of the workload.")
    kind: str
    cluster: str
    namespace: str
    service_namespace: str = Field(description="Its service.namespace, else its Kubernetes namespace.")
    service: str = Field(description="Its service.name, else the workload's name.")
    team: str
    application: str
    environment: str
    cost_centre: str
    told_by: dict[str, str] = Field(
        description="By field, who says so: a rule of the file with its line, or its own attributes."
    )
    cost: Money


class OwnersAnswer(Answer):
    """Who owns what, the most expensive first."""

    file: str | None = Field(description="The ownership file (analytics.ownership_file).")
    rules: int
    warnings: tuple[str, ...] = Field(description="Rules that can never say anything.")
    unused_rules: tuple[str, ...] = Field(description="Rules that say nothing of any workload in the window.")
    owned_cost: Money
    unowned_cost: Money = Field(description="Of workloads without a team; platform is not among them.")
    unowned_share: float | None = Field(description="Of the cost of all workloads.")
    rows: tuple[OwnerRow, ...]


class RuleTried(Document):
    """A rule that was tried on a workload."""

    rule: str
    line: int
    matches: bool
    why_not: str
    says: dict[str, str] = Field(description="By field; empty where it refers to what is not known.")
    counts: tuple[str, ...] = Field(description="Fields that no rule before it has said.")


class OwnerExplained(Document):
    """Why a workload is whose it is."""

    owner: OwnerRow
    known: dict[str, str] = Field(description="What rules can ask, with what this workload says.")
    tried: tuple[RuleTried, ...]


class OwnersExplained(Answer):
    """The workloads of a name, each explained."""

    file: str | None
    rows: tuple[OwnerExplained, ...]
