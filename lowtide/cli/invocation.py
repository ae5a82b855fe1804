"""What every command shares: the common options, the settings they lead to, and the way to the running
server.

A command takes `ctx: typer.Context` and calls `invocation(ctx)`; the common options are added to it by
`lowtide.cli.app` and work before and after the command's name. The trap: this module is imported by
`lowtide --help`, so what is heavy is imported inside functions.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowtide.output import Output, note

if TYPE_CHECKING:
    from lowtide.instance_lock import RunningInstance
    from lowtide.server_client import ServerClient
    from lowtide.settings import Settings
    from lowtide.settings_load import Loaded
    from lowtide.settings_sources import Flag


@dataclass(slots=True)
class Invocation:
    """One run of the command: what its common options say."""

    config: Path | None = None
    data: Path | None = None
    overrides: list[str] = field(default_factory=list)
    verbose: bool = False
    quiet: bool = False

    def load(self, *flags: Flag) -> Loaded[Settings]:
        """The settings with their origins. `flags` are the command's own options, and count last.

        Raises SettingsError (exit code 2).
        """
        from lowtide.settings import load_settings
        from lowtide.settings_sources import Flag

        common = [Flag("--data", "data", self.data)]
        if self.verbose or self.quiet:
            common.append(Flag("--verbose" if self.verbose else "--quiet", "log.level", self._level()))
        return load_settings(self.config, overrides=self.overrides, flags=[*common, *flags])

    def settings(self, *flags: Flag) -> Settings:
        """The settings alone."""
        return self.load(*flags).settings

    def running(self, settings: Settings) -> RunningInstance | None:
        """The server that owns the data directory, with its addresses, or None."""
        from lowtide.instance_lock import read_running

        return read_running(settings.data)

    def server(self, settings: Settings) -> ServerClient | None:
        """A client of the server that owns the data directory, or None: then the command opens the store
        itself.
        """
        from lowtide.instance_lock import read_running

        # Asked first, because importing the client is the slow part and mostly no server runs.
        if read_running(settings.data) is None:
            return None
        from lowtide.server_client import connect

        return connect(settings.data)

    def start_logs(self, settings: Settings) -> None:
        """Begin structured logging to stderr; for commands that run for long."""
        from lowtide.logs import configure_logs
        from lowtide.settings import colours_wanted

        configure_logs(settings.log.level, settings.log.format, colours=colours_wanted())

    def note(self, text: str) -> None:
        """Say something about the answer on stderr; silent with --quiet."""
        if not self.quiet:
            note(text)

    def _level(self) -> str:
        return "debug" if self.verbose else "error"


def invocation(ctx: typer.Context) -> Invocation:
    """The run this context belongs to."""
    root = ctx.find_root()
    if not isinstance(root.obj, Invocation):
        root.obj = Invocation()
    return root.obj


def _remember(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """Store a common option with the run. One given twice: the later counts; `--set` is collected."""
    run = invocation(ctx)
    if isinstance(value, list):
        run.overrides.extend(value)
    elif value is not None and value is not False:
        setattr(run, str(param.name), value)
    return value


def common_options(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Settings file; default: lowtide.toml here, else the user's own.",
            callback=_remember,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data directory.", callback=_remember)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting, e.g. api.port=9000; repeatable.",
            callback=_remember,
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Debug logging, and tracebacks of errors.", callback=_remember),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Errors only on stderr.", callback=_remember),
    ] = False,
) -> None:
    """Declares the common options; never run."""


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the rows.")]
"""For commands that print rows: `output: OutputOption = Output.TABLE`."""


def flag(option: str, setting: str, value: object) -> Flag:
    """A command's own option that overrides a setting: `flag("--api-port", "api.port", api_port)`."""
    from lowtide.settings_sources import Flag

    return Flag(option, setting, value)


def is_interactive() -> bool:
    """Whether a person watches stderr, so that progress may be redrawn."""
    return sys.stderr.isatty()
