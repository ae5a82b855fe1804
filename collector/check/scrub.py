"""Attributes that carry secrets are dropped, or replaced by a keyed digest, before anything is written.
`collector.check.check` calls it for requests in which the walk found a name that may be denied.

Instrumentation copies headers into attributes when it is told to, and they arrive under many names:
`authorization`, `http.request.header.authorization`, `http.response.header.set_cookie`. So names are compared
without case, and `_` is `-`. A digest (HMAC-SHA256 under a key of this installation) still tells whether two
values are the same, and nothing else.

The traps: values that are lists or maps become JSON text later (`collector.check.rewrite`), so this comes
before. And only names are looked at: a secret in a URL, a log's text or under an innocent name stays.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from numpy.typing import NDArray
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.check import walk
from collector.check.rewrite import json_of
from collector.settings import ScrubSettings

_FOLD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", "abcdefghijklmnopqrstuvwxyz-")
_LISTS: Final = ("array_value", "kvlist_value")
_DIGEST_CHARS: Final = 32
"""128 bits: no two values meet, and none is found again without the key."""


@dataclass(slots=True)
class Scrubbed:
    """How many attributes were dropped and hashed."""

    dropped: int = 0
    hashed: int = 0


@dataclass(frozen=True, slots=True)
class Scrubber:
    """The rules, and the table by which the walk knows their names. `key` is for digests, 32 bytes."""

    drop: re.Pattern[str]
    hash: re.Pattern[str]
    key: bytes = field(repr=False)
    table: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def of(cls, settings: ScrubSettings, key: bytes) -> Scrubber:
        """The scrubber of these settings."""
        return cls(
            _pattern(settings.drop), _pattern(settings.hash), key, table_of([*settings.drop, *settings.hash])
        )

    def scrub(self, request: Message) -> Scrubbed:
        """Apply the rules to every attribute of a request, at any depth, in place."""
        done = Scrubbed()
        self._message(request, done)
        return done

    def _message(self, message: Message, done: Scrubbed) -> None:
        for name, is_repeated, is_attributes in _ways(cast("Descriptor", message.DESCRIPTOR)):
            if is_attributes:
                self._attributes(getattr(message, name), done)
            elif is_repeated:
                for child in getattr(message, name):
                    self._message(child, done)
            elif message.HasField(name):
                self._message(getattr(message, name), done)

    def _attributes(self, pairs: Any, done: Scrubbed) -> None:
        """A list of KeyValue: apply the rules to it, and to what its values hold."""
        gone: list[int] = []
        for place, pair in enumerate(pairs):
            name = pair.key.translate(_FOLD)
            if self.hash.fullmatch(name):
                self._digest(pair.value)
                done.hashed += 1
            elif self.drop.fullmatch(name):
                gone.append(place)
            elif pair.value.WhichOneof("value") in _LISTS:
                self._message(pair.value, done)
        for place in reversed(gone):
            del pairs[place]
        done.dropped += len(gone)

    def _digest(self, value: AnyValue) -> None:
        found = hmac.new(
            self.key, json_of(value).encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()
        value.string_value = f"hmac:{found[:_DIGEST_CHARS]}"


def table_of(rules: Sequence[str]) -> NDArray[np.uint8]:
    """What the walk compares names with; see `collector.check.walk`, FOLD and below."""
    table = np.zeros(walk.RULES + 1 + len(rules) * walk.RULE_ROOM, np.uint8)
    for byte in range(256):
        table[walk.FOLD + byte] = _class(byte)
    table[walk.RULES] = len(rules)
    for number, rule in enumerate(rules):
        how, text = _literal(rule.translate(_FOLD))
        classes = [_class(byte) for byte in text.encode()]
        first, second = (classes[0], classes[1]) if how == walk.BY_BEGIN else (classes[-1], classes[-2])
        table[(walk.FIRST_TWO if how == walk.BY_BEGIN else walk.LAST_TWO) + (first << 5 | second)] = 1
        if how != walk.BY_BEGIN:
            classes.reverse()
        if len(classes) > walk.RULE_CLASSES:
            classes = classes[: walk.RULE_CLASSES]
            how = walk.BY_END if how == walk.WHOLE else how
        place = walk.RULES + 1 + number * walk.RULE_ROOM
        table[place : place + 2] = how, len(classes)
        table[place + 2 : place + 2 + len(classes)] = classes
    return table


def _class(byte: int) -> int:
    """The class of a character: letters without case, `-` and `_` alike, `.`, digits, and all others."""
    if byte | 0x20 in range(ord("a"), ord("z") + 1):
        return (byte | 0x20) - ord("a") + 1
    return {ord("-"): 27, ord("_"): 27, ord("."): 28}.get(byte, 29 if byte in b"0123456789" else 0)


def _literal(rule: str) -> tuple[int, str]:
    """How the walk compares with a rule, and the text: all of it, its end, or its beginning."""
    begin, star, _ = rule.partition("*")
    end = rule.rpartition("*")[2]
    if not star:
        return walk.WHOLE, rule
    return (walk.BY_END, end) if len(end.encode()) > 1 else (walk.BY_BEGIN, begin)


def _pattern(rules: Sequence[str]) -> re.Pattern[str]:
    """Matches a folded name that any of the rules names; without rules, none."""
    found = [".*".join(re.escape(part) for part in rule.translate(_FOLD).split("*")) for rule in rules]
    return re.compile("|".join(found) if found else r"(?!)", re.DOTALL)


_Ways = tuple[tuple[str, bool, bool], ...]
_KNOWN: dict[str, _Ways] = {}


def _ways(message: Descriptor) -> _Ways:
    """The fields of a message that lead to attributes: name, repeated, attributes themselves."""
    known = _KNOWN.get(message.full_name)
    if known is None:
        known = _KNOWN[message.full_name] = tuple(
            (each.name, each.is_repeated, each.message_type is KeyValue.DESCRIPTOR)
            for each in message.fields
            if each.message_type is not None and _leads(each.message_type, frozenset())
        )
    return known


def _leads(message: Descriptor, above: frozenset[str]) -> bool:
    """Whether there can be attributes in such a message."""
    if message is KeyValue.DESCRIPTOR:
        return True
    if message.full_name in above:
        return False
    below = above | {message.full_name}
    return any(each.message_type is not None and _leads(each.message_type, below) for each in message.fields)
