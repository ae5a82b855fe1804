"""ClickHouse's errors in plain words, with the place in the statement. Used by `lowtide sql`, whose reader
typed the statement; programs get the error as ClickHouse words it.

The trap: the engine counts bytes from one, editors count characters, and a name that an error quotes may
stand in several places, of which the first is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WIRE: Final = re.compile(r"Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)
_NAME_AT_END: Final = re.compile(r"\s*\([A-Z][A-Z0-9_]+\)\.?\s*$")
_SYNTAX: Final = re.compile(
    r"Syntax error(?: \(([^)]*)\))?: failed at position (\d+) \((.*?)\)(?: \(line \d+, col \d+\))?: ",
    re.DOTALL,
)
_EXPECTED: Final = re.compile(r"Expected (?:one of: )?(.*)$", re.DOTALL)
_QUOTED: Final = re.compile(r"[`']([^`']+)[`']")
_SCOPE: Final = re.compile(r"(?:[.:]? In scope |:? [Ww]hile executing ).*$", re.DOTALL)
_MAYBE: Final = re.compile(r"Maybe you meant:? \[?(.*?)\]?(?:\?|\. |\.$|$)")
_UNKNOWN: Final = frozenset({46, 47, 60})
"""Functions, columns and tables that do not exist: the text quotes the name."""
_SHOWN_EXPECTED: Final = 8
_SHOWN_LINE: Final = 160

_HINTS: Final = {
    158: "Read a shorter time range, or let the limit api.sql.max_rows_to_read grow.",
    159: "Read a shorter time range, or let the limit api.sql.max_execution_s grow.",
    202: "Try again in a moment; api.sql.workers says how many statements run at a time.",
    241: "Group by fewer keys or read a shorter time range, or let the limit api.sql.max_memory_bytes grow.",
    307: "Read a shorter time range, or let the limit api.sql.max_bytes_to_read grow.",
    396: "Add LIMIT, or let the limits api.sql.max_result_rows and api.sql.max_result_bytes grow.",
    412: "Shorten it, or let the limit api.sql.max_statement_bytes grow.",
    456: "Give its value with --param NAME=VALUE.",
}


@dataclass(frozen=True, slots=True)
class PlainError:
    """What went wrong, and what to do about it if that can be said."""

    message: str
    hint: str | None = None


def from_wire(text: str) -> tuple[int, str] | None:
    """The code and the words of an error as the HTTP interface sends it; None if it is none."""
    found = _WIRE.search(text)
    return None if found is None else (int(found[1]), _NAME_AT_END.sub("", found[2]).strip())


def explain_error(code: int, words: str, statement: str) -> PlainError:
    """The error in a sentence, with line and column where the engine or the statement tells them."""
    if (found := _SYNTAX.search(words)) is not None:
        return _syntax(found, words, statement)
    told = _SCOPE.sub("", words)
    if code in _UNKNOWN:
        return _unknown(told, words, statement)
    return PlainError(_sentence(told), _HINTS.get(code))


def _syntax(found: re.Match[str], words: str, statement: str) -> PlainError:
    if found[1] == "Multi-statements are not allowed":
        return PlainError(
            "There is more than one statement.", "Ask one at a time; a semicolon may only end it."
        )
    at = len(statement.encode()[: int(found[2]) - 1].decode(errors="ignore"))
    near = found[3] if at < len(statement) else "its end"
    message = (
        f"The statement cannot be parsed {_place(statement, at)}, near {near}:\n{_pointed(statement, at)}"
    )
    expected = _EXPECTED.search(words)
    if expected is None:
        return PlainError(message)
    choices = expected[1].rstrip(". \n").split(", ")
    more = " or others" if len(choices) > _SHOWN_EXPECTED else ""
    return PlainError(message, f"Expected there: {', '.join(choices[:_SHOWN_EXPECTED])}{more}.")


def _unknown(told: str, words: str, statement: str) -> PlainError:
    name = _QUOTED.search(told)
    message, suggestion = told.partition(" Maybe you meant")[0], _MAYBE.search(words)
    hint = f"Maybe {suggestion[1]}?" if suggestion is not None else None
    found = name and re.search(rf"(?<!\w){re.escape(name[1])}(?!\w)", statement)
    if not found:
        return PlainError(_sentence(message), hint)
    at = found.start()
    return PlainError(f"{message.rstrip('. ')} {_place(statement, at)}:\n{_pointed(statement, at)}", hint)


def _place(statement: str, at: int) -> str:
    line = statement.count("\n", 0, at) + 1
    column = at - (statement.rfind("\n", 0, at) + 1) + 1
    return f"at line {line}, column {column}" if "\n" in statement.strip() else f"at column {column}"


def _pointed(statement: str, at: int) -> str:
    """The line with a mark below the place, cut around it if it is long."""
    start = statement.rfind("\n", 0, at) + 1
    end = statement.find("\n", at)
    line = statement[start : end if end >= 0 else len(statement)].replace("\t", " ")
    column = at - start
    left = max(0, column - _SHOWN_LINE // 2)
    return f"    {line[left : left + _SHOWN_LINE]}\n    {' ' * (column - left)}^"


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!")) else f"{text}."
