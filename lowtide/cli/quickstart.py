"""`lowtide quickstart`: the server with an invented company in it, and the first tables. `make run` calls it.

The trap: it is a server like `lowtide serve`, on the same data directory, and keeps what it stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.cost import print_costs
from lowtide.cli.idle import print_idle
from lowtide.cli.invocation import invocation
from lowtide.cli.recommend import print_recommendations
from lowtide.cli.serve import (
    ApiPortOption,
    InsecureOption,
    ListenOption,
    OtlpGrpcPortOption,
    OtlpHttpPortOption,
    StoreOption,
    serve_flags,
)

if TYPE_CHECKING:
    from analytics.answers import FirstAnswers
    from lowtide.cli.invocation import Invocation
    from lowtide.serve.lifecycle import Addresses
    from lowtide.settings import Settings


def register(app: typer.Typer) -> None:
    """Add `lowtide quickstart`."""
    app.command("quickstart")(quickstart)


def quickstart(
    ctx: typer.Context,
    demo: Annotated[
        bool,
        typer.Option("--demo/--no-demo", help="Play an invented company, so that there is something to see."),
    ] = True,
    once: Annotated[bool, typer.Option("--once", help="Exit after the tables.")] = False,
    days: Annotated[float, typer.Option(min=0.01, max=120, help="Days of the demo's history.")] = 63.0,
    listen: ListenOption = None,
    api_port: ApiPortOption = None,
    otlp_http_port: OtlpHttpPortOption = None,
    otlp_grpc_port: OtlpGrpcPortOption = None,
    store: StoreOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Start Lowtide, play a demo company into it, print the first tables, and stay.

    Ports that are taken are replaced by free ones, unless you named them.
    """
    from lowtide.serve.ports import taken_ports

    run = invocation(ctx)
    flags = serve_flags(listen, api_port, otlp_http_port, otlp_grpc_port, store, insecure=insecure)
    loaded = run.load(*flags)
    replaced = taken_ports(loaded)
    for flag in replaced:
        run.note(f"The usual port of {flag.option} is taken by another process; a free one is used instead.")
    settings = run.load(*flags, *replaced).settings if replaced else loaded.settings
    _run(run, settings, demo=demo, once=once, days=days)


def _run(run: Invocation, settings: Settings, *, demo: bool, once: bool, days: float) -> None:
    from lowtide.serve.announce import facts
    from lowtide.serve.first_look import FirstLook, Wishes
    from lowtide.serve.process import run_server

    run.start_logs(settings)

    def ready(addresses: Addresses) -> None:
        run.note(facts(settings, addresses))

    def tables(answers: FirstAnswers) -> None:
        print_tables(run, settings, answers)

    look = FirstLook(Wishes(demo=demo, once=once, days=days, tables=tables), say=run.note)
    run_server(settings, ready, look)
    run.note("Stopped.")


def print_tables(run: Invocation, settings: Settings, answers: FirstAnswers) -> None:
    """Each table with the command that prints it; what holds for all of them is said once."""
    from lowtide.asking import tell

    teams, applications = answers.by_team, answers.by_application
    run.note("\n")
    tell(run, settings, "The last week", teams, applications, answers.idle, answers.recommend)
    run.note("Cost by team  (lowtide cost --by team)\n\n")
    print_costs(teams)
    run.note("\nCost by application  (lowtide cost --by application)\n\n")
    print_costs(applications)
    run.note("\nIdle and long-tail services  (lowtide idle)\n\n")
    print_idle(run, settings, answers.idle)
    run.note("\nFirst recommendations  (lowtide recommend)\n\n")
    print_recommendations(run, settings, answers.recommend)
