"""`lowtide config`: what is in effect and why."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.settings import load_settings

Command = Callable[..., Any]


def test_every_setting_is_shown(lowtide: Command) -> None:
    code, out, err = lowtide("config", "show")

    assert code == 0
    assert err == "Settings file: none.\n"
    shown = {line.split()[0] for line in out.splitlines()[1:]}
    assert shown == {setting.name for setting, _, _ in load_settings(environ={}).rows()}


def test_where_each_comes_from(lowtide: Command, own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_place / "lowtide.toml").write_text("# mine\n\n[api]\nport = 1\n")
    monkeypatch.setenv("LOWTIDE_LOG__LEVEL", "error")

    code, out, err = lowtide(
        "config", "show", "--origin", "-o", "json", "--data", "/d", "--set", "insecure=yes"
    )

    assert (code, err) == (0, "Settings file: lowtide.toml.\n")
    rows = {row["setting"]: row for row in json.loads(out)}
    given = {name: row for name, row in rows.items() if row["kind"] != "default"}
    assert {name: (row["value"], row["origin"], row["kind"]) for name, row in given.items()} == {
        "api.port": ("1", "lowtide.toml:4", "file"),
        "log.level": ("error", "LOWTIDE_LOG__LEVEL", "environment"),
        "data": ("/d", "--data", "flag"),
        "insecure": ("true", "--set insecure", "flag"),
    }
    assert rows["time_zone"]["origin"] == "default"
    assert rows["api.port"]["variable"] == "LOWTIDE_API__PORT"
    assert rows["api.port"]["expected"] == "a whole number, at least 0, at most 65535"
    assert all(row["description"] for row in rows.values())


def test_the_table_says_it_too(lowtide: Command) -> None:
    _, out, _ = lowtide("config", "show", "--origin", "--set", "api.port=7")

    (line,) = (line for line in out.splitlines() if line.startswith("api.port "))
    assert line.split()[1:5] == ["7", "--set", "api.port", "Port"]


@pytest.mark.parametrize("origin", [[], ["--origin"]])
def test_its_toml_is_a_settings_file(lowtide: Command, tmp_path: Path, origin: list[str]) -> None:
    _, out, _ = lowtide(
        "config", "show", "-o", "toml", "--set", "api.port=7", "--set", "log.level=error", *origin
    )
    (tmp_path / "copy.toml").write_text(out)

    assert tomllib.loads(out)["api"]["port"] == 7
    code, again, _ = lowtide("config", "show", "-o", "toml", "--config", str(tmp_path / "copy.toml"))
    assert code == 0
    assert tomllib.loads(again) == tomllib.loads(out)
    assert ("# From --set api.port." in out) is bool(origin)


def test_wrong_settings_are_said_without_a_traceback(lowtide: Command) -> None:
    code, out, err = lowtide("config", "show", "--set", "api.prot=7")

    assert (code, out) == (2, "")
    assert err == "Error: --set api.prot: no such setting: api.prot. Did you mean api.port?\n"


def test_the_documentation_is_printed(lowtide: Command) -> None:
    code, out, err = lowtide("config", "docs")

    assert (code, err) == (0, "")
    assert out.startswith("# Settings\n")
