"""The line of each key of a TOML file, in documents whose lines are known because the test wrote them."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from lowtide.toml_lines import key_lines

VALUES = st.sampled_from(
    [
        "1",
        "-3.5e3",
        "true",
        '"text # no comment [a] x = 1"',
        "'C:\\\\path = 3'",
        '"quote \\" inside = 2"',
        "[1, 2,\n  3, # three = 3\n]",
        '[ "a]", { b = 1 } ]',
        '"""\nfirst = 1\n[section]\n"""',
        "'''\nsecond = '' 2\n'''",
        '"""ends with quotes\\""""""',
        "{ inner = 1, other = { deep = 2 } }",
        "2026-11-20T10:00:00Z",
        "[]",
        "{}",
    ]
)
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True), st.text(st.characters(codec="utf-8"), max_size=5)
)
FILLER = st.sampled_from(["", "# comment [x] = 1", "   ", "\t# 'quote"])


def quoted(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
    if bare:
        return name
    return '"' + "".join(f"\\U{ord(c):08x}" for c in name) + '"'


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple[str, ...], int]]:
    """A valid document and the line of each of its tables and keys."""
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}

    def add(text: str) -> None:
        lines.extend(text.split("\n"))

    tables = draw(st.lists(NAMES, unique=True, max_size=4))
    for table in [None, *tables]:
        add(draw(FILLER))
        above: tuple[str, ...] = ()
        keys = draw(st.lists(NAMES, unique=True, max_size=4))
        if table is not None:
            above = (table,)
            expected[above] = len(lines) + 1
            add(f"[ {quoted(table)} ] # header")
        else:
            keys = [key for key in keys if key not in tables]
        for key in keys:
            add(draw(FILLER))
            expected[(*above, key)] = len(lines) + 1
            dotted = draw(st.booleans())
            if dotted:
                expected[(*above, key, "sub")] = len(lines) + 1
            name = f"{quoted(key)} . sub" if dotted else quoted(key)
            add(f"{name} = {draw(VALUES)}{draw(st.sampled_from(['', ' # x = 1']))}")
    return "\n".join(lines), expected


@given(documents())
def test_every_key_is_found_on_its_line(document: tuple[str, dict[tuple[str, ...], int]]) -> None:
    text, expected = document
    tomllib.loads(text)  # the document is what it claims to be

    assert key_lines(text) == expected


def test_arrays_of_tables_are_entered_at_their_first_header() -> None:
    text = "[[a]]\nx = 1\n\n[[a]]\nx = 2\ny = 3\n"

    assert key_lines(text) == {("a",): 1, ("a", "x"): 2, ("a", "y"): 6}


def test_an_empty_file_has_no_lines() -> None:
    assert key_lines("") == {}
    assert key_lines("# only a comment") == {}
