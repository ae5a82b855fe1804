"""On which line of a TOML file each key stands, so that a wrong setting can be pointed at.

Called by `lowtide.settings_sources` after `tomllib` has accepted the text. The trap: this is no parser, it
relies on the text being valid and only skips over values.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r"""
      ["]{3} (?: [^\\] | \\. )*? ["]{3,5}
    | [']{3} .*? [']{3,5}
    | ["] (?: [^"\\\n] | \\. )* ["]
    | ['] [^'\n]* [']
    """,
    re.DOTALL | re.VERBOSE,
)


def key_lines(text: str) -> dict[Path, int]:
    """The line (from 1) of every table header and key, by its full path.

    A key inside an inline table has no entry of its own: it stands on the line of the key that holds it.
    An array of tables is entered once, at its first header.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    at = _skip_blank(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        if text[at] == "[":
            start = at + 2 if text.startswith("[[", at) else at + 1
            table, at = _key(text, start)
            at = _end_of_line(text, at)
            _enter(lines, (), table, line)
        else:
            key, at = _key(text, at)
            _enter(lines, table, key, line)
            at = _skip_value(text, text.index("=", at) + 1)
        at = _skip_blank(text, at)
    return lines


def _enter(lines: dict[Path, int], table: Path, key: Path, line: int) -> None:
    for length in range(1, len(key) + 1):
        lines.setdefault((*table, *key[:length]), line)


def _skip_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _key(text: str, at: int) -> tuple[Path, int]:
    parts: list[str] = []
    while text[at] in " \t":
        at += 1
    while found := _KEY_PART.match(text, at):
        parts.append(_unquoted(found.group()))
        at = found.end()
        dot = _DOT.match(text, at)
        if dot is None:
            break
        at = dot.end()
    return tuple(parts), at


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    value: str = tomllib.loads(f"v = {part}")["v"]
    return value


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _skip_value(text: str, at: int) -> int:
    """The position after the value that starts at `at`: strings are jumped over, brackets are balanced."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            found = _STRING.match(text, at)
            at = found.end() if found else at + 1
            continue
        if char == "#":
            at = _end_of_line(text, at)
            continue
        if char == "\n" and depth == 0:
            return at
        depth += (char in "[{") - (char in "]}")
        at += 1
    return at
