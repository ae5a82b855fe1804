"""`lowtide doctor`: looks at an installation, running or not, and says what is wrong and what to do.
Registered by the app.

The trap: wrong settings are an answer here, not an error, since that is what a doctor is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import OutputOption, invocation
from lowtide.errors import ExitCode
from lowtide.output import Column, Output, render

if TYPE_CHECKING:
    from lowtide.cli.invocation import Invocation
    from lowtide.doctor.findings import Finding

_ANSWER_S = 10.0


def register(app: typer.Typer) -> None:
    """Add `lowtide doctor`."""
    app.command("doctor")(doctor)


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --output json.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Look for what is wrong, or will be, and say what to do. Changes nothing; a server may run.

    Exit code 1 if there is a problem; warnings alone are 0.
    """
    from lowtide.doctor.findings import Level, worst

    run = invocation(ctx)
    found = _examine(run)
    columns = [
        Column("level", "Level"),
        Column("check", "Check"),
        Column("what", "What was found"),
        Column("do", "What to do"),
    ]
    order = list(Level)
    rows = sorted(found, key=lambda each: -order.index(each.level))
    render(rows, columns, Output.JSON if as_json else output)
    counts = {level: sum(each.level is level for each in found) for level in Level}
    run.note(f"Problems: {counts[Level.PROBLEM]}. Warnings: {counts[Level.WARNING]}.")
    if worst(found) is Level.PROBLEM:
        raise typer.Exit(ExitCode.ERROR)


def _examine(run: Invocation) -> list[Finding]:
    from lowtide.doctor.examination import Examination
    from lowtide.doctor.findings import problem
    from lowtide.server_client import connect
    from lowtide.settings_load import SettingsError

    try:
        loaded = run.load()
    except SettingsError as error:
        do = "Correct it; `lowtide config show --origin` lists all of them."
        return [problem("settings", each, do) for each in error.problems]
    data = loaded.settings.data
    return Examination(loaded, lambda: connect(data, answer_timeout_s=_ANSWER_S)).findings()
