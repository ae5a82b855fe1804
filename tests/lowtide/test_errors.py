"""What a person reads when something goes wrong."""

from __future__ import annotations

import importlib

import pytest

from lowtide.errors import (
    EXPECTED,
    ExitCode,
    LowtideError,
    ThresholdExceeded,
    exit_code,
    explain,
    is_expected,
)
from lowtide.settings_load import SettingsError


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


def test_a_message() -> None:
    assert explain(LowtideError("It is full.")) == "Error: It is full."


def test_causes_and_hints_follow() -> None:
    denied = PermissionError(13, "Permission denied", "/x")
    inner = caused(LowtideError("The spool cannot be read.", hint="Look."), denied)
    error = caused(LowtideError("No status.", hint="Start it."), inner)

    assert explain(error).splitlines() == [
        "Error: No status.",
        "  because: The spool cannot be read.",
        "  because: /x: Permission denied",
        "  Hint: Start it.",
        "  Hint: Look.",
    ]


def test_what_was_said_is_not_said_again() -> None:
    error = caused(LowtideError("The file is bad: no such thing."), ValueError("no such thing"))

    assert explain(error) == "Error: The file is bad: no such thing."


def test_a_context_that_is_no_cause_is_left_out() -> None:
    error = LowtideError("Plain.")
    error.__context__ = KeyError("detail")

    assert explain(error) == "Error: Plain."


def test_an_error_without_words_is_named() -> None:
    assert explain(ValueError()) == "Error: ValueError"


def test_a_ring_of_causes_ends() -> None:
    first, second = LowtideError("One."), LowtideError("Two.")
    caused(caused(first, second), second)
    second.__cause__ = first

    assert explain(first) == "Error: One.\n  because: Two."


def test_errors_of_the_system_are_expected_and_plain() -> None:
    error = FileNotFoundError(2, "No such file or directory", "/x/y")

    assert is_expected(error)
    assert explain(error) == "Error: /x/y: No such file or directory"
    assert explain(OSError(28, "No space left on device")) == "Error: No space left on device"


def test_faults_are_not_expected() -> None:
    assert not is_expected(KeyError("x"))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_expected_error_exists(name: str) -> None:
    module, _, attribute = name.partition(":")
    kind = getattr(importlib.import_module(module), attribute)

    assert issubclass(kind, Exception)
    assert is_expected(kind("Something."))
    assert is_expected(type("Kind", (kind,), {})("Something."))


def test_exit_codes() -> None:
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3]
    assert exit_code(LowtideError("x")) == 1
    assert exit_code(OSError("x")) == 1
    assert exit_code(SettingsError(["x"])) == 2
    assert exit_code(ThresholdExceeded("x")) == 3
