"""Reads JSON of other protocols: bounded before it is parsed, and every fault named by its path. The
translators of `collector.foreign` use it.

The trap is memory: three bytes of JSON may become an object, and then a message.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from collector.check.wording import quoted
from collector.errors import BadRequestError
from collector.refusals import TooLargeError

# Bytes of memory for a value and its place, in the interpreter and as an attribute of OTLP, measured with the
# most wasteful bodies; for each object besides, which may become a record.
_VALUE_BYTES: Final = 400
_OBJECT_BYTES: Final = 600
_TEXT_BYTES: Final = 6  # for each byte: as it came, in the parsed texts, in messages, and as written


def read(body: bytes, what: str, *, memory_bytes: int) -> Any:
    """The values in a body. `what` it should be begins the message of BadRequestError; TooLargeError is
    raised if reading would take more than `memory_bytes`."""
    if memory_needed(body) > memory_bytes:
        raise TooLargeError("the request has too many values for one in JSON; send smaller batches")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not {what}: {error}") from error


def memory_needed(body: bytes) -> int:
    """How much memory reading and translating this JSON takes at most, in bytes, from its punctuation."""
    objects = body.count(b"{")
    values = objects + body.count(b"[") + body.count(b",")
    return values * _VALUE_BYTES + objects * _OBJECT_BYTES + len(body) * _TEXT_BYTES


class Place:
    """A value and the way to it, which begins the message of the BadRequestError that its readers raise."""

    __slots__ = ("value", "way", "what")

    def __init__(self, value: Any, what: str, way: str = "") -> None:
        self.value = value
        self.what = what
        self.way = way

    def wrong(self, expected: str) -> BadRequestError:
        """Something else was expected here."""
        where = self.way.removeprefix(".") or "the body"
        return BadRequestError(
            f"the body is not {self.what}: {where}: expected {expected}, got {self._shown()}"
        )

    def items(self) -> list[Place]:
        """Of a list; none if there is nothing here."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return [Place(value, self.what, f"{self.way}[{index}]") for index, value in enumerate(self.value)]

    def fields(self) -> dict[str, Any]:
        """Of an object; none if there is nothing here."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def field(self, name: str) -> Place:
        """A field of an object; None is in it if it is missing."""
        return Place(self.fields().get(name), self.what, f"{self.way}.{name}")

    def text(self) -> str:
        """A text; empty if there is nothing here."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return self.value

    def truth(self) -> bool:
        """True or false; false if there is nothing here."""
        if self.value is None:
            return False
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def whole(self) -> int:
        """A whole number that is not negative; 0 if there is nothing here."""
        if self.value is None:
            return 0
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self.wrong("a whole number")
        return self.value

    def _shown(self) -> str:
        match self.value:
            case bool():
                return "true" if self.value else "false"
            case int() | float():
                return f"the number {self.value}"
            case str():
                return f"the text {quoted(self.value)}"
            case dict():
                return "an object"
            case list():
                return "a list"
            case _:
                return "null"
