"""Answers about meshes: who calls whom, and what their proxies add. `api.mesh` and the command call these.

The trap: as in `analytics.answers`, `now` is given, so that an answer can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

import polars as pl

from analytics.documents import Span
from analytics.mesh_documents import (
    MeshEdge,
    MeshEdgesAnswer,
    MeshOverheadAnswer,
    ProxyOverhead,
    ZonePair,
    ZoneSplit,
)
from analytics.mesh_edges import EDGE, SCHEMA, ZONE_MEASURES, counted_once, edges, zone_pairs
from analytics.mesh_overhead import overheads
from analytics.mesh_zones import Places, zoned
from analytics.queries import Session, read_range
from analytics.samples import days
from analytics.window import Window, parse_window
from ingest.counted import counted


def mesh_edges_answer(
    session: Session, zone: tzinfo, *, window: str, now: datetime, tenant: str
) -> MeshEdgesAnswer:
    """Who called whom in the window. Raises WindowError, and what the session raises."""
    span = parse_window(window, now)
    told = pl.concat(told_edges(session, tenant, day) for day in days(span))
    counted_rows = counted_once(told)
    found = edges(counted_rows).filter(pl.any_horizontal(pl.col(ZONE_MEASURES) > 0))
    return MeshEdgesAnswer(
        **about(span, zone, _edge_notes(found)),
        rows=tuple(_edge(row) for row in found.to_dicts()),
        zones=tuple(ZonePair(**row) for row in zone_pairs(counted_rows).to_dicts()),
    )


def told_edges(session: Session, tenant: str, day: Window) -> pl.DataFrame:
    """What was told on a day or a part of it (`mesh_edges.SCHEMA`), with the zones of both ends. Nothing more
    is read where no mesh is heard. Raises what the session raises."""
    told = read_range(session, "mesh_edges", tenant, day.start, day.end)
    if told.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    places = Places(
        *(
            read_range(session, query, tenant, day.start, day.end)
            for query in ("mesh_proxies", "pod_places", "node_zones")
        )
    )
    return zoned(told, places)


def mesh_overhead_answer(
    session: Session, zone: tzinfo, *, window: str, now: datetime, tenant: str
) -> MeshOverheadAnswer:
    """What proxies added to requests in the window. Raises WindowError, and what the session raises."""
    span = parse_window(window, now)
    found = overheads(read_range(session, "proxy_overhead", tenant, span.start, span.end))
    forms = read_range(session, "access_log_forms", tenant, span.start, span.end).sort("form")
    lines = dict(forms.select("form", "lines").iter_rows())
    rows = tuple(_overhead(row) for row in found.to_dicts())
    return MeshOverheadAnswer(**about(span, zone, _overhead_notes(lines)), lines=lines, rows=rows)


def about(span: Window, zone: tzinfo, notes: Iterator[str]) -> dict[str, Any]:
    """What an answer says about itself."""
    return {
        "window": Span(start=span.start, end=span.end),
        "time_zone": str(zone),
        "notes": tuple(notes),
    }


def _edge(row: Mapping[str, Any]) -> MeshEdge:
    return MeshEdge(
        **{name: row[name] for name in EDGE},
        requests=row["requests"],
        errors=row["errors"],
        request_bytes=row["request_bytes"],
        response_bytes=row["response_bytes"],
        connections=row["connections"],
        mean_duration_ms=_ratio(row["duration_ms"], row["requests"]) if row["duration_ms"] else None,
        mutual_tls_share=_ratio(row["mutual_tls"], row["known_security"]),
        response_classes=_counts(row["classes"]),
        response_flags=_counts(row["flags"]),
        within_zone=_split(pair for pair in row["zones"] if _is_known(pair) and not _crosses(pair)),
        across_zones=_split(pair for pair in row["zones"] if _is_known(pair) and _crosses(pair)),
        unknown_zones=_split(pair for pair in row["zones"] if not _is_known(pair)),
        zones=tuple(ZonePair(**pair) for pair in row["zones"]),
        told_by=tuple(row["told_by"]),
        origins=tuple(row["origins"]),
        proxies=tuple(row["proxies"]),
    )


def _is_known(pair: Mapping[str, Any]) -> bool:
    return bool(pair["source_zone"] and pair["destination_zone"])


def _crosses(pair: Mapping[str, Any]) -> bool:
    return bool(pair["source_zone"] != pair["destination_zone"])


def _split(pairs: Iterable[Mapping[str, Any]]) -> ZoneSplit:
    kept = list(pairs)
    return ZoneSplit(
        requests=sum(pair["requests"] for pair in kept),
        bytes=sum(pair["request_bytes"] + pair["response_bytes"] for pair in kept),
        connections=sum(pair["connections"] for pair in kept),
    )


def _overhead(row: Mapping[str, Any]) -> ProxyOverhead:
    same = (
        "namespace", "cluster", "environment", "service_namespace", "direction", "requests", "mean_ms",
        "p50_ms", "p90_ms", "p99_ms", "longest_ms", "mean_duration_ms", "share",
    )  # fmt: skip
    return ProxyOverhead(
        name=row["workload_name"],
        kind=row["workload_kind"],
        service=row["service_name"],
        **{name: row[name] for name in same},
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _counts(pairs: list[dict[str, Any]] | None) -> dict[str, float]:
    return {pair["name"]: pair["calls"] for pair in pairs or ()}


def _edge_notes(found: pl.DataFrame) -> Iterator[str]:
    if found.is_empty():
        yield "No mesh was heard in this time; docs/sources.md says what to send."
    blind = len(found.filter((pl.col("requests") == 0) & pl.col("proxies").list.contains("ztunnel")))
    if blind:
        yield f"Edges that only ztunnels tell ({blind}) have connections and bytes, and no requests."
    pairs = [pair for row in found["zones"] for pair in row]
    unknown = _split(pair for pair in pairs if not _is_known(pair)).bytes
    if unknown and any(map(_is_known, pairs)):
        share = unknown / _split(pairs).bytes
        yield f"Of {share:.1%} of the bytes it is not known between which zones they went."
    if "polaris" in found["mesh"]:
        yield "Requests that Polaris tells are estimated: it says how many there were in the last 30 s."


def _overhead_notes(lines: Mapping[str, int]) -> Iterator[str]:
    if not lines:
        yield "No access log of a proxy was heard in this time; docs/sources.md says what to send."
    else:
        yield "In whole milliseconds, as Envoy writes them; what an answer's body took counts as the proxy's."
    if lines.get("unknown"):
        yield f"Not understood: {counted(lines['unknown'], 'line')} of access logs."
    if lines.get("other"):
        yield (
            f"Not read: {counted(lines['other'], 'line')} of proxies that are no access log, or in a format "
            "of your own."
        )
