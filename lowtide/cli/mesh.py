"""`lowtide mesh`: what the proxies of a mesh say: who calls whom, and what they add. Registered by the app.

The trap: an edge that only a ztunnel knows has connections, and no requests: an empty cell, not a nought.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import typer

from analytics.window import DAY_WINDOW
from lowtide.cli.cost import TenantOption, WindowOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from analytics.mesh_documents import MeshEdge, MeshEdgesAnswer


_FIGURES: Final = (
    Column("requests", "Requests", Unit.NUMBER, places=0),
    Column("request_bytes", "Bytes there", Unit.BYTES),
    Column("response_bytes", "Bytes back", Unit.BYTES),
    Column("connections", "Connections", Unit.NUMBER, places=0),
)


def register(app: typer.Typer) -> None:
    """Add `lowtide mesh edges`, `zones` and `overhead`."""
    group = typer.Typer(name="mesh", help="Say who calls whom, as a mesh tells it.", no_args_is_help=True)
    group.command("edges")(edges)
    group.command("zones")(zones)
    group.command("overhead")(overhead)
    app.add_typer(group)


def edges(
    ctx: typer.Context,
    window: WindowOption = DAY_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who calls whom, the busiest first: Istio, Linkerd, Envoy, Polaris. Every call is counted once."""
    render(_edge_rows(_ask_edges(ctx, window, tenant), output), edge_columns(output), output)


def zones(
    ctx: typer.Context,
    window: WindowOption = DAY_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what goes between zones, the most bytes first: clouds charge for what leaves one."""
    answer = _ask_edges(ctx, window, tenant)
    rows: list[dict[str, object]] = [pair.model_dump() for pair in answer.zones]
    if output is Output.TABLE:
        for row in rows:
            row |= {end: row[end] or "(not known)" for end in ("source_zone", "destination_zone")}
    shown = [Column("source_zone", "From zone"), Column("destination_zone", "To zone"), *_FIGURES]
    render(rows, shown, output)


def _ask_edges(ctx: typer.Context, window: str, tenant: str | None) -> MeshEdgesAnswer:
    from analytics.mesh import mesh_edges_answer
    from analytics.mesh_documents import MeshEdgesAnswer
    from lowtide.asking import ask_of_window

    return ask_of_window(
        invocation(ctx), "/api/v1/mesh/edges", MeshEdgesAnswer, mesh_edges_answer,
        window=window, tenant=tenant, what="Edges",
    )  # fmt: skip


def _edge_rows(answer: MeshEdgesAnswer, output: Output) -> Iterator[dict[str, object]]:
    for edge in answer.rows:
        row: dict[str, object] = edge.model_dump()
        if output is Output.TABLE:
            row |= {"source": _source(edge), "destination": _destination(edge)}
            row["requests"] = edge.requests or None
            row["error_share"] = edge.errors / edge.requests if edge.requests else None
            row["across_zones_bytes"] = edge.across_zones.bytes
            row["flags"] = ", ".join(edge.response_flags) or None
        yield row


def _source(edge: MeshEdge) -> str:
    if edge.source_workload in ("", "unknown"):
        return "(outside)"
    return "/".join(filter(None, (edge.source_namespace, edge.source_workload)))


def _destination(edge: MeshEdge) -> str:
    if edge.destination_workload in ("", "unknown"):
        return edge.destination_service or "(unknown)"
    return "/".join(filter(None, (edge.destination_namespace, edge.destination_workload)))


def edge_columns(output: Output) -> list[Column]:
    """The columns. Programs get every end and count by itself."""
    if output is Output.TABLE:
        return [
            Column("source", "Source"),
            Column("destination", "Destination"),
            Column("mesh", "Mesh"),
            *_FIGURES,
            Column("across_zones_bytes", "Across zones", Unit.BYTES),
            Column("error_share", "Errors", Unit.SHARE),
            Column("flags", "Flags"),
            Column("mean_duration_ms", "Mean ms", Unit.NUMBER, places=1),
            Column("mutual_tls_share", "mTLS", Unit.SHARE),
        ]
    names = (
        "mesh", "protocol", "source_cluster", "source_namespace", "source_workload", "destination_cluster",
        "destination_namespace", "destination_workload", "destination_service",
    )  # fmt: skip
    more = (
        "errors", "mean_duration_ms", "mutual_tls_share", "response_classes", "response_flags",
        "within_zone", "across_zones", "unknown_zones", "zones", "told_by", "origins", "proxies",
    )  # fmt: skip
    return [
        *(Column(name, name.replace("_", " ").capitalize()) for name in names),
        *_FIGURES,
        *(Column(name, name.replace("_", " ").capitalize()) for name in more),
    ]


def overhead(
    ctx: typer.Context,
    window: WindowOption = DAY_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what proxies add to each workload's requests, measured in their access logs."""
    from analytics.mesh import mesh_overhead_answer
    from analytics.mesh_documents import MeshOverheadAnswer
    from lowtide.asking import ask_of_window

    answer = ask_of_window(
        invocation(ctx), "/api/v1/mesh/overhead", MeshOverheadAnswer, mesh_overhead_answer,
        window=window, tenant=tenant, what="What proxies add",
    )  # fmt: skip
    render(answer.rows, overhead_columns(output), output)


def overhead_columns(output: Output) -> list[Column]:
    """The columns. Programs also get where each workload is."""
    shown = [
        Column("name", "Workload"),
        Column("namespace", "Namespace"),
        Column("direction", "Direction"),
        Column("requests", "Requests", Unit.NUMBER, places=0),
        Column("mean_ms", "Mean ms", Unit.NUMBER),
        Column("p50_ms", "p50 ms", Unit.NUMBER),
        Column("p90_ms", "p90 ms", Unit.NUMBER),
        Column("p99_ms", "p99 ms", Unit.NUMBER),
        Column("longest_ms", "Longest ms", Unit.NUMBER),
        Column("share", "Of duration", Unit.SHARE),
    ]
    if output is Output.TABLE:
        return shown
    more = ("kind", "cluster", "environment", "service_namespace", "service", "mean_duration_ms")
    return [*shown, *(Column(name, name.replace("_", " ").capitalize()) for name in more)]
