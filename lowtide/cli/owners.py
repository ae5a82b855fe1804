"""`lowtide owners`: who owns what, why, and what nobody owns. Registered by the app.

The trap: a running server answers with the rules it has read; `check` reads the file itself as well, so that
a fault in it is told before anybody relies on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from analytics.window import DEFAULT_WINDOW
from ingest.counted import counted
from lowtide.cli.cost import TenantOption, WindowOption
from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render
from lowtide.units import share

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.answers import Basis
    from analytics.ownership.documents import OwnerExplained, OwnersAnswer, OwnersExplained
    from ingest.store.engine import Session
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings

_SAID = ("team", "application", "environment", "cost_centre")
_UNOWNED = "unowned"


def register(app: typer.Typer) -> None:
    """Add `lowtide owners list` and `lowtide owners check`."""
    group = typer.Typer(name="owners", help="Say who owns what, and why.", no_args_is_help=True)
    group.command("list")(list_owners)
    group.command("check")(check)
    app.add_typer(group)


def list_owners(
    ctx: typer.Context,
    window: WindowOption = DEFAULT_WINDOW,
    tenant: TenantOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show every workload with its team, application, environment and cost centre, and who says so."""
    run = invocation(ctx)
    settings = run.settings()
    answer = _owners(run, settings, window, tenant)
    from lowtide.asking import tell

    tell(run, settings, "Owners", answer)
    _render(answer, output, only_unowned=False)


def check(
    ctx: typer.Context,
    service: Annotated[
        str | None, typer.Argument(metavar="[SERVICE]", help="Explain this service or workload.")
    ] = None,
    window: WindowOption = DEFAULT_WINDOW,
    tenant: TenantOption = None,
    max_unowned_share: Annotated[
        float | None,
        typer.Option(
            "--max-unowned-share", min=0, max=1, help="Exit with 3 if more of the cost than this has no team."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check the ownership file, and list what nobody owns by cost; or explain whose a service is.

    Exit codes: 0 fine, 1 the file is wrong or there is no such service, 3 too much is unowned.
    """
    from analytics.ownership.file import read_rules
    from lowtide.asking import tell
    from lowtide.errors import ThresholdExceeded

    run = invocation(ctx)
    settings = run.settings()
    file = settings.analytics.ownership_file
    if file is not None:
        read_rules(file)
    if service is not None:
        _explain(run, settings, service, window, tenant, output)
        return
    answer = _owners(run, settings, window, tenant)
    tell(run, settings, "What has no team", answer)
    if file is not None and answer.file != str(file):
        run.note(
            f"{file} is in order, but the running server does not go by it: what follows is by its own "
            "settings. Start it with analytics.ownership_file set to this file."
        )
    for remark in _remarks(answer):
        run.note(remark)
    _render(answer, output, only_unowned=True)
    if max_unowned_share is not None and (answer.unowned_share or 0) > max_unowned_share:
        raise ThresholdExceeded(
            f"{share(answer.unowned_share or 0)} of the cost has no team, {share(max_unowned_share)} may."
        )


def _owners(run: Invocation, settings: Settings, window: str, tenant: str | None) -> OwnersAnswer:
    from analytics.answers import owners_answer
    from analytics.ownership.documents import OwnersAnswer
    from lowtide.asking import TENANT, ask

    def local(session: Session, basis: Basis, now: datetime) -> OwnersAnswer:
        return owners_answer(session, basis, window=window, now=now, tenant=tenant or TENANT)

    return ask(run, settings, "/api/v1/owners", {"window": window, "tenant": tenant}, OwnersAnswer, local)


def _remarks(answer: OwnersAnswer) -> Iterator[str]:
    if answer.file is None:
        yield "There is no ownership file (analytics.ownership_file); attributes and labels alone decide."
    else:
        yield f"{counted(answer.rules, 'rule')} in {answer.file}."
    yield from (f"warning: {warning}" for warning in answer.warnings)
    yield from (f"warning: {rule} says nothing of anybody in this window" for rule in answer.unused_rules)
    if answer.unowned_share is not None:
        yield f"{share(answer.unowned_share)} of what workloads cost has no team."
    yield ""


def _render(answer: OwnersAnswer, output: Output, *, only_unowned: bool) -> None:
    rows = [row for row in answer.rows if not only_unowned or row.team == _UNOWNED]
    shown = [Column("name", "Workload"), Column("kind", "Kind"), Column("service", "Service")]
    shown += [Column(name, name.replace("_", " ").capitalize()) for name in _SAID]
    shown += [Column("cost", "Cost", Unit.MONEY, answer.currency)]
    if output is not Output.TABLE:
        shown += [
            Column("cluster", "Cluster"),
            Column("namespace", "Namespace"),
            Column("service_namespace", "Service namespace"),
            Column("told_by", "Told by"),
        ]
    render(rows, shown, output)


def _explain(
    run: Invocation, settings: Settings, service: str, window: str, tenant: str | None, output: Output
) -> None:
    from analytics.answers import owners_explained
    from analytics.ownership.documents import OwnersExplained
    from lowtide.asking import TENANT, ask, tell
    from lowtide.errors import LowtideError

    def local(session: Session, basis: Basis, now: datetime) -> OwnersExplained:
        return owners_explained(
            session, basis, service=service, window=window, now=now, tenant=tenant or TENANT
        )

    asked = {"service": service, "window": window, "tenant": tenant}
    answer = ask(run, settings, "/api/v1/owners/explanation", asked, OwnersExplained, local)
    if not answer.rows:
        raise LowtideError(
            f"Nothing in this window is called {service}.",
            hint="`lowtide owners list` has every workload and service; --window looks further back.",
        )
    tell(run, settings, f"Whose {service} is", answer)
    for one in answer.rows:
        for line in _story(one):
            run.note(line)
        if output is Output.TABLE:
            _render_tried([one], output)
    if output is not Output.TABLE:
        _render_tried(answer.rows, output)


def _story(one: OwnerExplained) -> Iterator[str]:
    """What a workload is, and who says each thing of it."""
    yield f"{one.owner.kind} {one.owner.name}"
    known = ", ".join(f"{name} {text}" for name, text in one.known.items() if text)
    yield f"  known of it: {known}"
    for name in _SAID:
        text = getattr(one.owner, name) or "none"
        by = one.owner.told_by.get(name)
        yield f"  {name.replace('_', ' ')}: {text}{f', says {by}' if by else ''}"


def _render_tried(explained: Iterable[OwnerExplained], output: Output) -> None:
    rows = [
        {
            "workload": one.owner.name,
            "rule": tried.rule,
            "line": tried.line,
            "matches": tried.matches,
            "says": ", ".join(f"{name} {text or '(empty)'}" for name, text in tried.says.items()),
            "counts": ", ".join(tried.counts),
            "why_not": tried.why_not,
        }
        for one in explained
        for tried in one.tried
    ]
    columns = [
        *([Column("workload", "Workload")] if output is not Output.TABLE else []),
        Column("rule", "Rule"),
        Column("line", "Line", Unit.NUMBER, places=0),
        Column("matches", "Matches"),
        Column("says", "Says"),
        Column("counts", "Counts"),
        Column("why_not", "Why not"),
    ]
    if rows or output is not Output.TABLE:
        render(rows, columns, output)
