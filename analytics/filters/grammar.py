"""The language of filters: `namespace:"shop","pay" + (team!:"web" | label[tier]:"gold")`. What `parse`
returns becomes an expression in `analytics.filters.columns`.

It is OpenCost's second filter language: comparisons `FIELD OPERATOR "VALUE","VALUE"`, joined by `+` (and) or
`|` (or), which are never mixed without parentheses. Operators are `:` (is one of), `~:` (contains), `<~:`
(begins with) and `~>:` (ends with), each turned around by `!` in front. In a value, `\\"` is a quote and
`\\\\` a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from analytics.errors import FilterError

MOST_CHARACTERS: Final = 4000
MOST_LEVELS: Final = 20
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<operator>!?(?:<~:|~>:|~:|:))
    |(?P<string>"(?:[^"\\]|\\["\\])*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<key>\[[^\[\]"]+\])
    |(?P<mark>[+|(),])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r'\\(["\\])')


class Operator(StrEnum):
    """How a value is compared; `!` is kept apart."""

    IS = ":"
    CONTAINS = "~:"
    BEGINS = "<~:"
    ENDS = "~>:"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field[key] operator "value","value"`: any of the values, or with `negated` none of them. `at` is where
    it stands, from 0."""

    field: str
    key: str
    operator: Operator
    negated: bool
    values: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Comparisons and groups of which all (`+`) or any (`|`) must hold."""

    every: bool
    parts: tuple[Filter, ...]


Filter = Comparison | Joined


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Filter | None:
    """The filter; None if there is nothing in it. Raises FilterError."""
    if len(text) > MOST_CHARACTERS:
        raise FilterError(f"it has {len(text):,} characters, and may have {MOST_CHARACTERS:,}")
    reader = _Reader(text)
    if reader.next.kind == "end":
        return None
    found = reader.joined(0)
    if reader.next.kind != "end":
        raise reader.wrong("nothing was opened that this closes" if reader.next.text == ")" else _JOIN)
    return found


_JOIN: Final = 'comparisons are joined by + or |, as in namespace:"shop" + team:"web"'


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self.next = next(self._tokens)

    def wrong(self, why: str) -> FilterError:
        return _wrong(self.next, why)

    def joined(self, level: int) -> Filter:
        first = self._part(level)
        sign, parts = self.next.text, [first]
        if self.next.kind != "mark" or sign not in "+|":
            return first
        while self.next.kind == "mark" and self.next.text in "+|":
            if self.next.text != sign:
                raise self.wrong("+ and | are not mixed without parentheses")
            self._take()
            parts.append(self._part(level))
        return Joined(sign == "+", tuple(parts))

    def _part(self, level: int) -> Filter:
        if self.next.text != "(":
            return self._comparison()
        if level == MOST_LEVELS:
            raise self.wrong(f"parentheses are {MOST_LEVELS} deep at most")
        self._take()
        inside = self.joined(level + 1)
        if self.next.text != ")":
            raise self.wrong("a parenthesis is not closed" if self.next.kind == "end" else _JOIN)
        self._take()
        return inside

    def _comparison(self) -> Comparison:
        field = self._expect("name", 'a field is missing here, as in namespace:"shop"')
        key = self._take().text[1:-1].strip() if self.next.kind == "key" else ""
        sign = self._expect(
            "operator", "an operator is missing here: : ~: <~: ~>: or one with ! before it"
        ).text
        values = [self._value()]
        while self.next.text == ",":
            self._take()
            values.append(self._value())
        operator = Operator(sign.removeprefix("!"))
        return Comparison(field.text, key, operator, sign.startswith("!"), tuple(values), field.at)

    def _value(self) -> str:
        text = self._expect("string", "a value in double quotes is missing here").text
        return _ESCAPE.sub(r"\1", text[1:-1])

    def _expect(self, kind: str, why: str) -> _Token:
        if self.next.kind != kind:
            raise self.wrong(why)
        return self._take()

    def _take(self) -> _Token:
        taken, self.next = self.next, next(self._tokens)
        return taken


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            stray = _Token("stray", text[at], at)
            raise _wrong(stray, "a quote is not closed" if text[at] == '"' else "this has no meaning here")
        if found.lastgroup != "space":
            yield _Token(str(found.lastgroup), found.group(), at)
        at = found.end()
    while True:
        yield _Token("end", "", len(text))


def _wrong(token: _Token, why: str) -> FilterError:
    where = "at its end" if token.kind == "end" else f"at character {token.at + 1} ({token.text[:20]})"
    return FilterError(f"{where}: {why}")
