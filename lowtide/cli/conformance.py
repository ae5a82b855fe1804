"""`lowtide conformance`: the rules of OTLP, checked against any receiver. Registered by the app.

It knows nothing of Lowtide's own receiver: an address is all it is given, and what comes back is all it sees.
The trap: heavy imports stay inside the commands, so that `lowtide --help` is quick.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import invocation, is_interactive
from lowtide.errors import ExitCode
from lowtide.output import Output

if TYPE_CHECKING:
    from lowtide.conformance.rule import Result

LONGEST_TIMEOUT_S = 300.0


class ListOutput(StrEnum):
    """The formats of `lowtide conformance list`."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def register(app: typer.Typer) -> None:
    """Add `lowtide conformance otlp` and `lowtide conformance list`."""
    group = typer.Typer(
        name="conformance", help="Check any OTLP receiver against the specification.", no_args_is_help=True
    )
    group.command("otlp")(otlp)
    group.command("list")(list_rules)
    app.add_typer(group)


OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="RULE", help="A rule, a group (http.json) or a pattern; repeatable."),
]


def otlp(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="OTLP/HTTP base address, e.g. http://127.0.0.1:4318.")
    ],
    grpc: Annotated[
        str | None,
        typer.Option("--grpc", metavar="HOST:PORT", help="OTLP/gRPC too; https://HOST:PORT for TLS."),
    ] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME=VALUE", help="Sent with every request; repeatable."),
    ] = None,
    only: OnlyOption = None,
    large: Annotated[
        bool, typer.Option("--large", help="Also the rules that send 128 MiB in 130 kB of gzip.")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="Certificates to trust, PEM.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, max=LONGEST_TIMEOUT_S, help="Seconds to wait for each reply."),
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of the table.")] = False,
) -> None:
    """Check a receiver: send it small requests, good and bad, and compare its replies with the specification.

    What is sent is telemetry of the service lowtide-conformance. Exit codes: 0 no MUST failed, 1 one did,
    2 wrong usage, or the receiver cannot be reached.
    """
    import asyncio

    from lowtide.conformance.catalogue import chosen
    from lowtide.conformance.report import write_json, write_people
    from lowtide.conformance.running import run
    from lowtide.conformance.target import target

    here = invocation(ctx)
    receiver = target(url, grpc=grpc, headers=headers or (), ca=ca, timeout_s=timeout)
    progress = _redraw if is_interactive() and not here.quiet else None
    done = asyncio.run(run(receiver, chosen(only or (), large=large), progress))
    if progress is not None:
        sys.stderr.write("\r\x1b[K")
    (write_json if as_json else write_people)(done, sys.stdout)
    if grpc is None:
        here.note("gRPC was not checked; give its address with --grpc.")
    for place in done.gone:
        here.note(f"The receiver stopped answering ({place}); what came after is not judged.")
    if done.gone:
        raise typer.Exit(ExitCode.USAGE)
    if done.breaches:
        raise typer.Exit(ExitCode.ERROR)


def _redraw(result: Result) -> None:
    sys.stderr.write(f"\r\x1b[K{result.rule.id}")
    sys.stderr.flush()


def list_rules(
    only: OnlyOption = None,
    output: Annotated[
        ListOutput, typer.Option("--output", "-o", help="markdown is the page docs/conformance-rules.md.")
    ] = ListOutput.TABLE,
) -> None:
    """List the rules: where each comes from, what it sends, what it expects."""
    from lowtide.conformance.catalogue import chosen
    from lowtide.conformance.report import markdown, write_rules

    rules = chosen(only or (), large=True)
    if output is ListOutput.MARKDOWN:
        sys.stdout.writelines(f"{line}\n" for line in markdown(rules))
    else:
        write_rules(rules, Output(output.value))
