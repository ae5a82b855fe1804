"""What the API counts about itself. `/metrics` collects REGISTRY."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter

REGISTRY: Final = CollectorRegistry()

REFUSED: Final = Counter(
    "lowtide_api_refused_total",
    "Requests refused at the door: no known token, its scope missing, or tokens that cannot be read.",
    ["reason"],
    registry=REGISTRY,
)
for _reason in ("unknown", "scope", "undecided"):
    REFUSED.labels(_reason)
