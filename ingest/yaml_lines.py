"""Reads YAML that people write by hand, with the line of every value, and checks it against a model.

    node = read_yaml(text, "prices.yaml")               # raises YamlError
    entry, problems = checked(PriceEntry, node, common)  # a model, or a Problem for each field that is wrong

Every file of that kind is read here. A problem names file, line and field, and all of a file are found at
once. Scalars stay the text that was written, so that 0.1 is no float and 2026-01-19 no number; the model says
what it must be. Refused, since a file of settings has no use for them: keys given twice, anchors and aliases
(which can unfold without end), tags, several documents, and nesting deeper than `MAX_DEPTH`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DEPTH: Final = 16
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place of a file. `field` is a path (`prices.request`), empty for a whole entry."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        named = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {named}{self.message}"


class YamlError(Exception):
    """The text is no YAML of the kind that is read here. `problems` has every place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as it was written; None where nothing, `~` or `null` stands."""

    text: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    nodes: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; its keys are texts."""

    fields: Mapping[str, Node]
    line: int


Node: TypeAlias = Scalar | Items | Table


def read_yaml(text: str, file: str) -> Node:
    """The one document of a text. Raises YamlError with every problem that can be found."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise YamlError([Problem(file, 1, "", f"this is longer than {MAX_BYTES} bytes")])
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # At the end of the text the parser stands behind its last line.
        line = min(mark.line + 1, len(text.splitlines()) or 1) if mark is not None else 1
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise YamlError([*builder.problems, Problem(file, line, "", f"this is no YAML: {said}")]) from error
    if builder.problems:
        raise YamlError(builder.problems)
    return builder.root or Scalar(None, 1)


def checked(
    model: type[M], node: Table, file: str, common: Mapping[str, Node] | None = None
) -> tuple[M | None, list[Problem]]:
    """The table as a model, or what is wrong with it. `common` are fields that hold where it has none."""
    whole = Table({**(common or {}), **node.fields}, node.line)
    try:
        return model.model_validate(plain(whole)), []
    except ValidationError as error:
        return None, [_located(whole, detail, file) for detail in error.errors(include_url=False)]


def plain(node: Node) -> Any:
    """The node as Python's dict, list and str."""
    match node:
        case Table(fields):
            return {key: plain(value) for key, value in fields.items()}
        case Items(nodes):
            return [plain(value) for value in nodes]
        case Scalar(text):
            return text


def _located(whole: Table, detail: Any, file: str) -> Problem:
    """Where pydantic's complaint is: the line of the deepest node on the way to it."""
    node: Node = whole
    path: list[str] = []
    for part in detail["loc"]:
        if isinstance(node, Table) and part in node.fields:
            node = node.fields[str(part)]
        elif isinstance(node, Items) and isinstance(part, int):
            node = node.nodes[part]
        elif isinstance(node, Table) and isinstance(part, str) and part != "[key]":
            path.append(part)
            break
        else:
            break
        path.append(str(part))
    return Problem(file, node.line, ".".join(path), _words(detail))


def _words(detail: Any) -> str:
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "there is no such key here"
        case _:
            said = str(detail["msg"]).removeprefix("Value error, ")
            given = detail["input"]
            return f"{said}, not {given!r}" if isinstance(given, str) and len(given) < 60 else said


@dataclass(slots=True)
class _Open:
    """A list or table whose end was not seen yet."""

    line: int
    is_table: bool
    nodes: list[Node] = field(default_factory=list)
    fields: dict[str, Node] = field(default_factory=dict)
    key: str | None = None
    key_line: int = 0


class _Builder:
    """Makes nodes of the parser's events. No recursion: depth is what a hostile text would use."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._file = file
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents == 2:
                    self._wrong(line, "there is a second document, and one is read")
            case yaml.AliasEvent():
                self._wrong(line, "aliases are not read here: write the value out")
                self._add(Scalar(None, line))
            case yaml.ScalarEvent():
                self._check(event, line)
                is_null = not event.style and event.value in _NULLS
                self._add(Scalar(None if is_null else event.value, line))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._check(event, line)
                if len(self._open) == MAX_DEPTH:
                    raise YamlError(
                        [*self.problems, Problem(self._file, line, "", f"this nests deeper than {MAX_DEPTH}")]
                    )
                self._open.append(_Open(line, isinstance(event, yaml.MappingStartEvent)))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self._open.pop()
                self._add(
                    Table(done.fields, done.line) if done.is_table else Items(tuple(done.nodes), done.line)
                )

    def _check(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            self._wrong(line, "anchors are not read here: write the value where it is needed")
        if event.tag is not None:
            self._wrong(line, f"tags such as {event.tag} are not read here")

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = self.root or node
            return
        inside = self._open[-1]
        if not inside.is_table:
            inside.nodes.append(node)
        elif inside.key is None:
            inside.key, inside.key_line = self._key(node), node.line
        else:
            if inside.key in inside.fields:
                first = inside.fields[inside.key].line
                self._wrong(inside.key_line, f"{inside.key} is given twice, first in line {first}")
            inside.fields.setdefault(inside.key, node)
            inside.key = None

    def _key(self, node: Node) -> str:
        if isinstance(node, Scalar) and node.text is not None:
            return node.text
        self._wrong(node.line, "a key is a text")
        return ""

    def _wrong(self, line: int, message: str) -> None:
        self.problems.append(Problem(self._file, line, "", message))


def once(problems: Iterable[Problem]) -> list[Problem]:
    """The problems in the order of their lines, each once: what is common to many entries is wrong once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line))
