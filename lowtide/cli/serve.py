"""`lowtide serve`: runs every part of Lowtide in one process until it is told to stop. Registered by the app.

The trap: stdout carries the ready line only; whatever is for people goes to stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import flag, invocation

if TYPE_CHECKING:
    from lowtide.cli.invocation import Invocation
    from lowtide.serve.lifecycle import Addresses
    from lowtide.settings import Settings
    from lowtide.settings_sources import Flag

ListenOption = Annotated[
    str | None, typer.Option("--listen", metavar="ADDR", help="Address to listen on; default: 127.0.0.1.")
]
ApiPortOption = Annotated[
    int | None, typer.Option("--api-port", metavar="N", help="Port of the API and the page; 0: any free one.")
]
OtlpHttpPortOption = Annotated[
    int | None, typer.Option("--otlp-http-port", metavar="N", help="Port of OTLP/HTTP; 0: any free one.")
]
OtlpGrpcPortOption = Annotated[
    int | None, typer.Option("--otlp-grpc-port", metavar="N", help="Port of OTLP/gRPC; 0: any free one.")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="`embedded`, or clickhouse://user@host:port/database."),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Speak plain text on an address others can reach. Tokens are needed there all the same.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `lowtide serve`."""
    app.command("serve")(serve)


def serve(
    ctx: typer.Context,
    listen: ListenOption = None,
    api_port: ApiPortOption = None,
    otlp_http_port: OtlpHttpPortOption = None,
    otlp_grpc_port: OtlpGrpcPortOption = None,
    store: StoreOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Receive, store and answer, until stopped with Ctrl-C or SIGTERM.

    When traffic can come, one line of JSON on stdout says where: {"event":"ready","api":...,"otlp_http":...,
    "otlp_grpc":...,"pid":...}.
    """
    run = invocation(ctx)
    settings = run.settings(
        *serve_flags(listen, api_port, otlp_http_port, otlp_grpc_port, store, insecure=insecure)
    )
    _run(run, settings)


def serve_flags(
    listen: str | None,
    api_port: int | None,
    otlp_http_port: int | None,
    otlp_grpc_port: int | None,
    store: str | None,
    *,
    insecure: bool,
) -> list[Flag]:
    """The command's options as settings. The collector's address is given too, or a file's would win over
    it."""
    return [
        flag("--listen", "listen", listen),
        flag("--listen", "collector.listen", listen),
        flag("--api-port", "api.port", api_port),
        flag("--otlp-http-port", "collector.http_port", otlp_http_port),
        flag("--otlp-grpc-port", "collector.grpc_port", otlp_grpc_port),
        flag("--store", "store.url", store),
        flag("--insecure", "insecure", insecure or None),
    ]


def _run(run: Invocation, settings: Settings) -> None:
    from lowtide.serve.announce import facts, print_ready
    from lowtide.serve.process import run_server

    run.start_logs(settings)

    def ready(addresses: Addresses) -> None:
        run.note(facts(settings, addresses))
        print_ready(addresses)

    run_server(settings, ready)
    run.note("Stopped.")
