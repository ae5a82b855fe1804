"""Finds the objects in what `kubectl get -o json` writes, while it comes in: lists of objects, single ones,
and several such documents one after the other.

    reading = Documents("cluster.json")
    for item in reading.feed(text): ...       # again and again
    for item in reading.finish(): ...

Only the object that is being read is in memory, and some text behind it. The traps: whether JSON is broken or
only not there yet is known when more has come, so a broken object is noticed once it is longer than one may
be, or at the end; and in a list of kubectl's the objects come before the list says what it is, in one of the
API's after it, and there the objects do not say what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ingest.inventory.errors import InventoryError, InventoryTooLargeError

MOST_OBJECT_CHARACTERS: Final = 8 * 1024 * 1024
"""A cluster's store takes objects of 1.5 MiB; written out with indents they are some three times as long."""
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_ITEMS: Final = "items"
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Item:
    """A value that should be an object of Kubernetes."""

    value: Any
    line: int
    """In which it begins, from 1."""
    index: int | None
    """Within its list, from 0; None for a document that is an object itself."""
    list_kind: str
    """What its list says it is, as far as it has said so: DeploymentList."""
    list_version: str
    """The list's apiVersion."""


_Steps = Generator[Item | None, None, None]
"""Gives items, and None when it takes more text to go on."""


class Documents:
    """The objects of a dump that comes in as text."""

    def __init__(self, name: str, most_characters: int = MOST_OBJECT_CHARACTERS) -> None:
        self._name, self._most = name, most_characters
        self._text = ""
        self._at = 0
        self._before = 0
        self._line = 1
        self._counted = 0
        self._ended = False
        self._steps = self._documents()

    def feed(self, text: str) -> Iterator[Item]:
        """What is whole now. Raises InventoryError."""
        self._here()
        self._before += self._at
        self._text = self._text[self._at :] + text
        self._at = self._counted = 0
        yield from self._run()

    def finish(self) -> Iterator[Item]:
        """What is left. Raises InventoryError."""
        self._ended = True
        yield from self._run()

    def _run(self) -> Iterator[Item]:
        for item in self._steps:
            if item is None:
                return
            yield item

    def _documents(self) -> _Steps:
        while (yield from self._next()):
            yield from self._document()

    def _document(self) -> _Steps:
        line, head, head_characters, is_list = self._here(), dict[str, Any](), 0, False
        yield from self._take("{", "an object begins with {")
        while (yield from self._next()) != "}" or head or is_list:
            key = yield from self._value()
            if not isinstance(key, str):
                raise self._broken("the name of a field is text")
            yield from self._take(":", "a field has a name, a colon and a value")
            if key == _ITEMS and (yield from self._next()) == "[":
                is_list = True
                yield from self._list(head)
            else:
                begin = self._before + self._at
                head[key] = yield from self._value()
                head_characters += self._before + self._at - begin
                if head_characters > self._most:
                    raise self._too_long()
            if (yield from self._next()) != ",":
                break
            self._at += 1
        yield from self._take("}", "behind a field comes another one, or }")
        if not is_list:
            yield Item(head, line, None, "", "")

    def _list(self, head: dict[str, Any]) -> _Steps:
        kind, version = (str(head.get(name) or "") for name in ("kind", "apiVersion"))
        self._at += 1
        if (yield from self._next()) == "]":
            self._at += 1
            return
        index = 0
        while True:
            yield from self._next()
            line = self._here()
            value = yield from self._value()
            yield Item(value, line, index, kind, version)
            index += 1
            if (yield from self._next()) != ",":
                break
            self._at += 1
        yield from self._take("]", "behind an item comes another one, or ]")

    def _next(self) -> Generator[None, None, str]:
        """The next character that is no space, empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            yield None

    def _take(self, character: str, otherwise: str) -> Generator[None, None, None]:
        if (yield from self._next()) != character:
            raise self._broken(otherwise if self._at < len(self._text) else "it ends too early")
        self._at += 1

    def _value(self) -> Generator[None, None, Any]:
        yield from self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise self._broken("it is nested too deeply") from error
            except ValueError as error:
                if self._ended:
                    raise self._broken(_words(error), getattr(error, "pos", self._at)) from error
            else:
                # A number might go on in the next piece.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            if len(self._text) - self._at > self._most:
                raise self._too_long()
            yield None

    def _here(self) -> int:
        """The line of the place."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _broken(self, said: str, at: int | None = None) -> InventoryError:
        line = self._here() + self._text.count("\n", self._at, self._at if at is None else at)
        return InventoryError([f"{self._name}:{line}: this is no JSON of kubectl: {said}"])

    def _too_long(self) -> InventoryTooLargeError:
        said = f"what begins here is no JSON, or an object of more than {self._most} characters"
        return InventoryTooLargeError([f"{self._name}:{self._here()}: {said}"])


def _words(error: ValueError) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return "a number has too many digits"
    # Python's words go on with a position in what it was given, which is a piece of the file.
    said = error.msg.removesuffix(" at").removesuffix(" starting")
    return said[:1].lower() + said[1:]
