"""`lowtide config`: shows the settings in effect and where each comes from. Registered by the app.

The trap: secrets are hidden in every format, so TOML of a configuration with a secret has a comment in its
place.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.invocation import invocation
from lowtide.output import Column, render

if TYPE_CHECKING:
    from lowtide.settings import Settings
    from lowtide.settings_load import Loaded


class ConfigOutput(StrEnum):
    """The formats of `lowtide config show`."""

    TABLE = "table"
    JSON = "json"
    TOML = "toml"


def register(app: typer.Typer) -> None:
    """Add `lowtide config show` and `lowtide config docs`."""
    group = typer.Typer(name="config", help="Show the settings in effect.", no_args_is_help=True)
    group.command("show")(show)
    group.command("docs")(docs)
    app.add_typer(group)


def show(
    ctx: typer.Context,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also say where each value comes from and what it is for.")
    ] = False,
    output: Annotated[
        ConfigOutput, typer.Option("--output", "-o", help="toml can be read again as a settings file.")
    ] = ConfigOutput.TABLE,
) -> None:
    """Print every setting with the value in effect."""
    from lowtide.settings_print import as_toml

    run = invocation(ctx)
    loaded = run.load()
    if output is ConfigOutput.TOML:
        typer.echo(as_toml(loaded, origins=origin), nl=False)
    else:
        columns = [Column("setting", "Setting"), Column("value", "Value")]
        if origin:
            columns += [Column("origin", "From"), Column("description", "What it is for")]
        if origin and output is ConfigOutput.JSON:
            columns += [
                Column("kind", "Kind"),
                Column("variable", "Variable"),
                Column("expected", "Expected"),
            ]
        render(_rows(loaded), columns, output.value)
    run.note(f"Settings file: {loaded.file or 'none'}.")


def _rows(loaded: Loaded[Settings]) -> Iterator[dict[str, object]]:
    from lowtide.settings_print import shown_value

    for setting, value, origin in loaded.rows():
        yield {
            "setting": setting.name,
            "value": shown_value(setting, value),
            "origin": str(origin),
            "kind": origin.kind,
            "variable": setting.variable,
            "expected": setting.expected,
            "description": setting.description,
        }


def docs() -> None:
    """Print the settings' documentation, the page docs/settings.md."""
    from lowtide.settings import Settings
    from lowtide.settings_print import as_markdown

    typer.echo(as_markdown(Settings), nl=False)
