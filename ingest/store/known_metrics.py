"""Which metrics usage, nodes, edges and facts are made of, by name: those that the view `known_points` lets
through. `lowtide import` asks a Prometheus for these."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from ingest.store.template import render

_VIEW: Final = ("migrations", "0001_telemetry", "526_known_points_mv.sql")
_LIST: Final = re.compile(r"name IN \(([^()]*)\)")
_NAME: Final = re.compile(r"'([^']+)'")


@cache
def known_metric_names() -> frozenset[str]:
    """All of them, as OpenTelemetry and as Prometheus call them."""
    text = files("ingest.store").joinpath(*_VIEW).read_text(encoding="utf-8")
    found = _LIST.search(text)
    if found is None:
        raise LookupError(f"{_VIEW[-1]} has no list of names")
    return frozenset(_NAME.findall(render(found[1], {})))
