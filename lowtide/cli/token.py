"""`lowtide token`: makes, lists and revokes the tokens by which others send and ask. Registered by the app.

It works on the file in the data directory, whether a server runs or not; a running one sees the change
within a second. The trap: a token is shown once, alone on stdout, so that `TOKEN=$(lowtide token create
...)` works.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lowtide.cli.invocation import OutputOption, invocation
from lowtide.output import Column, Output, Unit, render

if TYPE_CHECKING:
    from pathlib import Path

    from lowtide.tokens.token import Scope, Token

_UNITS: Final = {"h": 1, "d": 24, "w": 24 * 7}
_LIFE: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_SCOPES_HELP: Final = (
    "What it allows: write-traces, write-metrics, write-logs (write: all three), read (answers, page, "
    "metrics), query (SQL), admin (what changes something). Repeatable."
)


def register(app: typer.Typer) -> None:
    """Add `lowtide token create`, `list` and `revoke`."""
    group = typer.Typer(name="token", help="Say who may send and who may ask.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_tokens)
    group.command("revoke")(revoke)
    app.add_typer(group)


def create(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What it is for: a team, a cluster, a dashboard.")
    ],
    scope: Annotated[list[str], typer.Option("--scope", "-s", metavar="SCOPE", help=_SCOPES_HELP)],
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="TENANT", help="Whose rows it writes and sees.")
    ] = "default",
    expires: Annotated[
        str, typer.Option("--expires", metavar="LIFE", help="How long it is valid: 12h, 90d, 52w, or never.")
    ] = "never",
) -> None:
    """Make a token. It is printed on stdout, once: only its digest is kept."""
    from lowtide.tokens.file import change_tokens
    from lowtide.tokens.token import TENANT_FORM, Token, digest_of, mint

    if not _NAME.fullmatch(name):
        raise typer.BadParameter("a name has 1 to 100 printable characters", param_hint="NAME")
    if not TENANT_FORM.fullmatch(tenant):
        raise typer.BadParameter(
            "a tenant is letters, digits, . _ and -, 63 at most, the first a letter or digit",
            param_hint="--tenant",
        )
    run = invocation(ctx)
    settings = run.settings()
    now = datetime.now(UTC)
    token_id, text = mint()
    token = Token(
        token_id, name, tenant, _scopes(scope), digest_of(text), created_at=now, expires_at=_end(expires, now)
    )
    change_tokens(settings.data, lambda tokens: [*tokens, token])
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    end = "never" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d %H:%M} UTC"
    run.note(
        f"Token {token_id} ({name}): {', '.join(sorted(token.scopes))}; tenant {tenant}; expires: {end}. "
        "It is shown this once; keep it where only its user can read it."
    )
    if len(_read(settings.data)) == 1:
        run.note(
            "From now on everybody needs a token, also on this machine, but for this user's own commands."
        )


def list_tokens(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """List all tokens, also those that are revoked or expired. Never shows a secret."""
    from lowtide.tokens.file import read_use

    run = invocation(ctx)
    settings = run.settings()
    tokens = _read(settings.data)
    used = read_use(settings.data)
    now = datetime.now(UTC)
    columns = [
        Column("id", "Id"),
        Column("name", "Name"),
        Column("tenant", "Tenant"),
        Column("scopes", "Scopes"),
        Column("state", "State"),
        Column("created_at", "Created", Unit.INSTANT),
        Column("expires_at", "Expires", Unit.INSTANT),
        Column("last_used_at", "Last used, about", Unit.INSTANT),
    ]
    rows = [
        {
            "id": token.id,
            "name": token.name,
            "tenant": token.tenant,
            "scopes": " ".join(sorted(token.scopes)),
            "state": _state(token, now),
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "last_used_at": used.get(token.id),
        }
        for token in tokens
    ]
    render(rows, columns, output, zone=settings.time_zone)
    if not tokens:
        run.note("No token was ever made here, so on this machine everybody may send and ask.")


def revoke(
    ctx: typer.Context,
    token: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `list` shows it.")],
) -> None:
    """End a token for good. A running server refuses it within a second, also on open connections."""
    from lowtide.tokens.errors import NoSuchTokenError
    from lowtide.tokens.file import change_tokens
    from lowtide.tokens.token import id_of

    run = invocation(ctx)
    settings = run.settings()
    wanted = id_of(token) or token.removeprefix("lt_")
    now = datetime.now(UTC)

    def without(tokens: Sequence[Token]) -> Sequence[Token]:
        if all(each.id != wanted for each in tokens):
            raise NoSuchTokenError("There is no token with that id.", hint="`lowtide token list` shows them.")
        return [
            replace(each, revoked_at=each.revoked_at or now) if each.id == wanted else each for each in tokens
        ]

    change_tokens(settings.data, without)
    run.note(f"Token {wanted} is revoked.")


def _read(data: Path) -> Sequence[Token]:
    from lowtide.tokens.file import read_tokens

    return read_tokens(data)


def _scopes(given: Sequence[str]) -> frozenset[Scope]:
    from lowtide.tokens.token import ALL_WRITING, Scope, scopes_of

    known = [ALL_WRITING, *Scope]
    for word in given:
        if word not in known:
            raise typer.BadParameter(
                f"{word!r} is no scope; there are {', '.join(known)}", param_hint="--scope"
            )
    return scopes_of(given)


def _end(life: str, now: datetime) -> datetime | None:
    if life == "never":
        return None
    found = _LIFE.fullmatch(life)
    if found is None:
        raise typer.BadParameter(
            f"{life!r} is no length of time; write 12h, 90d, 52w or never", param_hint="--expires"
        )
    return now + timedelta(hours=int(found[1]) * _UNITS[found[2]])


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "valid" if token.is_live(now) else "expired"
