"""The frame of the command: what it loads, the options every command has, and how it ends."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import lowtide.cli
from lowtide.cli import app as frame
from lowtide.cli.app import build, command_names, run
from lowtide.cli.invocation import flag, invocation
from lowtide.errors import LowtideError, ThresholdExceeded

HEAVY = {
    "polars", "numba", "chdb", "grpc", "fastapi", "clickhouse_connect", "pyarrow", "pandas", "numpy",
    "pydantic", "structlog", "httpx2", "uvicorn", "plotly", "opentelemetry", "yaml", "rich",
}  # fmt: skip


def python(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


Capture = pytest.CaptureFixture[str]
Probe = Callable[[Callable[[typer.Context], None]], None]


class TestHelp:
    def test_it_loads_nothing_heavy(self) -> None:
        """What `lowtide --help` imports, every command pays for."""
        done = python(
            "-c",
            "import sys; from lowtide.cli.app import run; run(['--help']); "
            "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)",
        )

        loaded = set(eval(done.stderr))  # noqa: S307 - a list of names printed one line above
        assert "typer" in loaded
        assert loaded & HEAVY == set()

    def test_every_command_is_listed(self, lowtide: Callable[..., tuple[int, str, str]]) -> None:
        code, out, err = lowtide("--help")

        assert (code, err) == (0, "")
        shown = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line[2:3].strip()]
        assert shown == command_names()

    def test_every_module_beside_the_app_is_a_command(self) -> None:
        found = {module.name for module in pkgutil.iter_modules(lowtide.cli.__path__)}

        named = {name.removesuffix("_").replace("_", "-") for name in found}
        assert named == {*command_names(), "app", "invocation"}
        assert {"config", "spool"} <= found

    def test_commands_and_their_options_are_described(self) -> None:
        for path, command in walk(build(), "lowtide"):
            assert command.help, path
            assert [p.name for p in command.params if not getattr(p, "help", "")] == [], path

    def test_every_command_has_the_common_options(self) -> None:
        for path, command in walk(build(), "lowtide"):
            options = {text for param in command.params for text in param.opts}
            assert {"--config", "--data", "--set", "--verbose", "--quiet"} <= options, path

    def test_the_program_is_called_lowtide_either_way(self) -> None:
        done = python("-m", "lowtide", "--help")

        assert done.returncode == 0
        assert "Usage: lowtide [OPTIONS] COMMAND" in done.stdout

    def test_the_version(self) -> None:
        done = python("-m", "lowtide", "--version")

        assert re.fullmatch(r"lowtide \d+\.\d+\.\d+\S*\n", done.stdout)

    def test_completion_can_be_installed(self) -> None:
        done = python(
            "-m", "lowtide", _LOWTIDE_COMPLETE="complete_bash", COMP_WORDS="lowtide confi", COMP_CWORD="1"
        )

        assert done.stdout.split() == ["config"]


def walk(command: object, path: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    yield path, command  # type: ignore[misc] - a group or a command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, f"{path} {name}")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Puts a command `probe` in place of all others."""

    def install(action: Callable[[typer.Context], None]) -> None:
        class Module:
            @staticmethod
            def register(app: typer.Typer) -> None:
                def probe_command(ctx: typer.Context, port: int | None = None) -> None:
                    """Probe."""
                    ctx.params["port"] = port
                    action(ctx)

                probe_command.__annotations__ = {"ctx": typer.Context, "port": int | None, "return": None}
                app.command("probe")(probe_command)

        monkeypatch.setattr(frame, "command_names", lambda: ["probe"])
        monkeypatch.setattr(frame, "importlib", SimpleNamespace(import_module=lambda _: Module))

    return install


class TestCommonOptions:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--data", "/a", "probe"],
            ["probe", "--data", "/a"],
            ["--data", "/b", "probe", "--data", "/a"],
            ["--set", "data=/b", "probe", "--data=/a"],
            ["probe", "--set", "data=/a"],
        ],
    )
    def test_they_work_before_and_after_the_commands_name(self, arguments: list[str], probe: Probe) -> None:
        seen = []
        probe(lambda ctx: seen.append(invocation(ctx).settings().data))

        assert run(arguments) == 0
        assert seen == [Path("/a")]

    def test_a_commands_own_option_overrides_a_setting(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOWTIDE_API__PORT", "1")
        seen = []

        def action(ctx: typer.Context) -> None:
            loaded = invocation(ctx).load(flag("--port", "api.port", ctx.params["port"]))
            seen.append((loaded.settings.api.port, str(loaded.origins["api", "port"])))

        probe(action)

        assert run(["probe"]) == 0
        assert run(["probe", "--set", "api.port=2"]) == 0
        assert run(["probe", "--set", "api.port=2", "--port", "3"]) == 0
        assert seen == [(1, "LOWTIDE_API__PORT"), (2, "--set api.port"), (3, "--port")]

    def test_a_settings_file(self, probe: Probe, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_text("api.port = 5\n")
        seen = []
        probe(lambda ctx: seen.append(invocation(ctx).settings().api.port))

        assert run(["probe", "--config", str(tmp_path / "x.toml")]) == 0
        assert seen == [5]

    @pytest.mark.parametrize(
        ("option", "level"), [("-v", "debug"), ("--quiet", "error"), ("--set=log.level=warning", "warning")]
    )
    def test_how_much_is_said(self, option: str, level: str, probe: Probe) -> None:
        seen = []
        probe(lambda ctx: seen.append(invocation(ctx).settings().log.level.value))

        assert run(["probe", option]) == 0
        assert seen == [level]

    def test_notes_are_silent_if_wanted(self, probe: Probe, capsys: Capture) -> None:
        probe(lambda ctx: invocation(ctx).note("By the way."))

        run(["probe"])
        assert capsys.readouterr() == ("", "By the way.\n")
        run(["probe", "-q"])
        assert capsys.readouterr() == ("", "")

    def test_nothing_is_remembered_from_one_run_to_the_next(self, probe: Probe) -> None:
        seen = []
        probe(lambda ctx: seen.append((invocation(ctx).data, list(invocation(ctx).overrides))))

        run(["probe", "--data", "/a", "--set", "x=1"])
        run(["probe"])

        assert seen == [(Path("/a"), ["x=1"]), (None, [])]


class TestEndings:
    def end(
        self,
        error: BaseException,
        *arguments: str,
        probe: Probe,
        capsys: Capture,
    ) -> tuple[int, str]:
        def action(_: typer.Context) -> None:
            raise error

        probe(action)
        code = run(["probe", *arguments])
        captured = capsys.readouterr()
        assert captured.out == ""
        return code, captured.err

    @pytest.mark.parametrize(
        ("error", "code", "says"),
        [
            (LowtideError("It is full.", hint="Empty it."), 1, "Error: It is full.\n  Hint: Empty it.\n"),
            (ThresholdExceeded("Costs are 12 % above."), 3, "Error: Costs are 12 % above.\n"),
            (PermissionError(13, "Permission denied", "/x"), 1, "Error: /x: Permission denied\n"),
            (LowtideError("Service a\x1b[2Jb."), 1, "Error: Service a\\x1b[2Jb.\n"),
            (typer.Exit(7), 7, ""),
            (KeyboardInterrupt(), 130, ""),
            (SystemExit("Words."), 1, "Words.\n"),
            (SystemExit(None), 0, ""),
        ],
    )
    def test_expected_errors_are_plain(
        self,
        error: BaseException,
        code: int,
        says: str,
        probe: Probe,
        capsys: Capture,
    ) -> None:
        assert self.end(error, probe=probe, capsys=capsys) == (code, says)

    def test_verbose_shows_the_traceback(self, probe: Probe, capsys: Capture) -> None:
        code, err = self.end(LowtideError("It is full."), "--verbose", probe=probe, capsys=capsys)

        assert code == 1
        assert err.startswith("Traceback (most recent call last):")
        assert err.endswith("Error: It is full.\n")

    def test_a_fault_shows_its_traceback_and_asks_for_a_report(self, probe: Probe, capsys: Capture) -> None:
        code, err = self.end(KeyError("segment"), probe=probe, capsys=capsys)

        assert code == 1
        assert "Traceback" in err
        assert err.endswith("This is a fault in Lowtide. Please report it with the lines above.\n")

    @pytest.mark.parametrize(
        "arguments",
        [["nope"], ["probe", "--nope"], ["probe", "--port", "x"], [], ["probe", "--set", "api.prot=1"]],
    )
    def test_wrong_usage(self, arguments: list[str], probe: Probe, capsys: Capture) -> None:
        probe(lambda ctx: invocation(ctx).settings())

        assert run(arguments) == 2
        assert "Traceback" not in capsys.readouterr().err

    def test_a_reader_that_goes_away_is_no_fault(self) -> None:
        """`lowtide config show | head -1`"""
        with subprocess.Popen(
            [sys.executable, "-m", "lowtide", "config", "docs"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.close()
            _, err = process.communicate(timeout=60)

        assert err == b""
        assert process.returncode == 1

    def test_names_that_cannot_be_encoded_do_not_end_a_command(self, own_place: Path) -> None:
        (own_place / "lowtide.toml").write_text('data = "/caf\u00e9"\n', encoding="utf-8")

        done = python("-m", "lowtide", "config", "show", "-o", "json", PYTHONIOENCODING="ascii")

        assert done.returncode == 0
        assert "/caf\\xe9" in done.stdout


class TestServer:
    def test_no_server_runs(self, probe: Probe, tmp_path: Path) -> None:
        seen = []

        def action(ctx: typer.Context) -> None:
            run_ = invocation(ctx)
            settings = run_.settings()
            seen.append((run_.running(settings), run_.server(settings)))

        probe(action)

        assert run(["probe", "--data", str(tmp_path)]) == 0
        assert seen == [(None, None)]

    def test_a_server_runs(self, probe: Probe, tmp_path: Path) -> None:
        from lowtide.instance_lock import InstanceLock

        seen = []

        def action(ctx: typer.Context) -> None:
            run_ = invocation(ctx)
            settings = run_.settings()
            running, client = run_.running(settings), run_.server(settings)
            assert running is not None
            assert client is not None
            client.close()
            seen.append((running.api, client.address))

        probe(action)
        with InstanceLock.acquire(tmp_path) as lock:
            lock.publish({"api": "http://127.0.0.1:9"})
            assert run(["probe", "--data", str(tmp_path)]) == 0

        assert seen == [("http://127.0.0.1:9", "http://127.0.0.1:9")]
