"""What is planted and what it really costs: the static `truth.yaml`, and the causal shares of one showing.

Written by the command with `--truth`, read by tests and by scoring tools; no detector may read either. The
trap: the traces of older weeks are a sample, so their work is scaled to the requests that really came.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import yaml

from lowtide.demo.calls import Plan
from lowtide.demo.estate import Estate
from lowtide.demo.work import worker_of

UNOWNED = "unowned"
TRUTH_DAYS = 7


def planted() -> dict[str, Any]:
    """The shipped `truth.yaml`."""
    loaded = yaml.safe_load(files("lowtide.demo").joinpath("truth.yaml").read_text(encoding="utf-8"))
    if not isinstance(loaded, dict):
        raise TypeError("truth.yaml is not a mapping")
    return loaded


@dataclass(slots=True)
class CausalShares:
    """Work done for each application by every service, over the slices it was told of."""

    estate: Estate
    work_ms: dict[str, dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    """Service key -> application -> milliseconds."""
    requests: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Operation -> requests that really came."""

    def saw(self, plan: Plan, own_ms: dict[int, float], kept: int, came: int) -> None:
        """A slice of an operation: own time by node of the traces kept, out of the requests that came."""
        self.requests[plan.operation] += came
        if not kept:
            return
        root = self.estate.services[plan.application_of_root]
        if root.environment != "production":
            return
        for node in plan.nodes:
            worker = worker_of(node)
            if worker is not None:
                self.work_ms[worker][root.app or UNOWNED] += own_ms[node.index] * came / kept

    def shares(self) -> dict[str, dict[str, float]]:
        """Service key -> application -> share of its work, for services that work for more than one
        application."""
        found = {}
        for key, by_application in sorted(self.work_ms.items()):
            total = sum(by_application.values())
            if len(by_application) > 1 and total > 0:
                found[key] = {name: ms / total for name, ms in sorted(by_application.items())}
        return found
