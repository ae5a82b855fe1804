"""The `lowtide` command: one module per subcommand, the common options, and what happens to errors.

Every module beside this one that is not named in `_FRAME` is a command and has `register(app:
typer.Typer)`. All are imported for every run, `--help` too, so they import heavy packages inside their
functions; a test holds them to it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from keyword import iskeyword
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.main import get_command

import lowtide.cli
from lowtide.cli.invocation import Invocation, common_options
from lowtide.errors import ExitCode, exit_code, explain, is_expected
from lowtide.output import printable

_FRAME = frozenset({"app", "invocation"})
_ORDER = (
    "quickstart",
    "serve",
    "demo",
    "cost",
    "idle",
    "recommend",
    "cold-starts",
    "owners",
    "import",
    "inventory",
    "bills",
    "prices",
    "mesh",
    "sql",
    "token",
    "doctor",
    "backup",
    "restore",
    "spool",
    "migrate",
    "conformance",
    "config",
)
"""In the order in which a newcomer needs them; others follow by name."""


def command_names() -> list[str]:
    """The commands, each of which has a module, in the order of the help."""
    modules = pkgutil.iter_modules(lowtide.cli.__path__)
    found = {module.name.removesuffix("_").replace("_", "-") for module in modules} - _FRAME
    return sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def build(run: Invocation | None = None) -> Any:
    """The command with all its subcommands, as the object that parses arguments and runs them.

    `run` is the invocation its common options are stored in; it must be the `obj` that `main` is given.
    """
    # Plain help: the decorated one takes another tenth of a second to import.
    app = typer.Typer(
        name="lowtide", rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True
    )
    app.callback()(_lowtide)
    for name in command_names():
        _register(importlib.import_module(f"lowtide.cli.{_module(name)}"), app, run or Invocation())
    command: Any = get_command(app)
    # Typer puts groups behind all others, in whatever order they were added.
    command.commands = {name: command.commands[name] for name in command_names()}
    _add_common_options(command)
    return command


def _module(name: str) -> str:
    """The module of a command: its name with underscores, and one behind it if Python has that word."""
    return f"{name}_" if iskeyword(name) else name.replace("-", "_")


def _register(module: ModuleType, app: typer.Typer, run: Invocation) -> None:
    """Let a module add its command. The demo knows no settings, so it is told how to reach what it
    played to.
    """
    if module.__name__ == "lowtide.cli.demo":
        module.register(app, partial(_remove_here, run), partial(_find_server, run))
    else:
        module.register(app)


def _find_server(run: Invocation) -> Any:
    from lowtide.serve.finding import find_server

    return find_server(run)


def _remove_here(run: Invocation, tell: Callable[[str], None]) -> Any:
    from lowtide.serve.removing import remove_demo_here

    return remove_demo_here(run, tell)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"lowtide {version('lowtide')}")
        raise typer.Exit


def _lowtide(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """What your applications cost, what sits idle, and what can sleep.

    Answers go to stdout, everything else to stderr. Exit codes: 0 done, 1 error, 2 wrong usage or settings,
    3 a threshold you gave was exceeded. All settings: `lowtide config show --origin`.
    """


def _add_common_options(command: Any) -> None:
    """Give a command and all below it the common options, except those it declares itself."""
    template = typer.Typer(add_completion=False)
    template.command()(common_options)
    for option in get_command(template).params:
        taken = {text for own in command.params for text in own.opts}
        if (
            option.param_type_name == "option"
            and taken.isdisjoint(option.opts)
            and "--help" not in option.opts
        ):
            option.expose_value = False  # stored with the run, not handed to the function
            command.params.append(option)
    for inner in getattr(command, "commands", {}).values():
        _add_common_options(inner)


def run(arguments: Sequence[str]) -> int:
    """Run the command with its arguments and return the exit code. Nothing but the exit code leaves it."""
    invocation = Invocation()
    try:
        build(invocation).main(list(arguments), prog_name="lowtide", obj=invocation)
        code: int = ExitCode.OK
    except SystemExit as stop:
        code = _code_of(stop)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - the last place: whatever it is becomes words and an exit code
        _tell(error, verbose=invocation.verbose)
        code = exit_code(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`). What is still buffered must not be written again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or ExitCode.ERROR
    return code


def _code_of(stop: SystemExit) -> int:
    """SystemExit carries a number, nothing, or words to print."""
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or ExitCode.OK
    sys.stderr.write(f"{stop.code}\n")
    return ExitCode.ERROR


def _tell(error: Exception, *, verbose: bool) -> None:
    expected = is_expected(error)
    if verbose or not expected:
        traceback.print_exception(error)
    lines = [printable(line) for line in explain(error).splitlines()]
    if not expected:
        lines.append("This is a fault in Lowtide. Please report it with the lines above.")
    sys.stderr.writelines(f"{line}\n" for line in lines)
