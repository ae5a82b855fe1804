"""What every answer of this installation rests on, made from its settings. The one place that does.

The server, its first page and the commands that open the store themselves call `basis_of`. The trap: it reads
the price book, which takes a good part of a second, so it is imported and called when something is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.answers import Basis

if TYPE_CHECKING:
    from lowtide.settings import Settings


def basis_of(settings: Settings) -> Basis:
    """Prices, ownership rules and the settings of the answers. Raises FileError."""
    retention = settings.store.retention
    telemetry_days = min(retention.rollup_days, retention.activity_days)
    return Basis.load(settings.analytics, settings.currency, settings.time_zone, telemetry_days)
