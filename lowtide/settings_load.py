"""Merges the sources of settings into one validated model, and says where each value came from.

Called by `lowtide.settings` with the product's model, and by tests with small ones. The trap: every problem
of every source is collected before anything is raised, so that a person mends a file once, not line by
line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from lowtide.errors import ExitCode, LowtideError
from lowtide.redaction import MASK, hide_in_text
from lowtide.settings_sources import (
    DEFAULT,
    Assignment,
    Flag,
    Kind,
    Origin,
    Reading,
    read_environment,
    read_file,
    read_flags,
    read_overrides,
)
from lowtide.settings_tree import Key, Setting, Tree, plain_value, tree_of

M = TypeVar("M", bound=BaseModel)
M_co = TypeVar("M_co", bound=BaseModel, covariant=True)

_TABLES = "a list, each a table"
_AFTER_OTHERS = "default_factory_not_called"
"""What pydantic says of a default that follows from others, of which one is wrong."""


class Conflict(NamedTuple):
    """Settings that do not go together: the name of one, and the sentence to say."""

    setting: str
    sentence: str


class SettingsError(LowtideError):
    """Some settings are unknown or wrong. `problems` holds a sentence for each, beginning with its place."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        first, *rest = self.problems
        many = f"{len(self.problems)} settings are wrong.\n" + "\n".join(
            f"  {line}" for line in self.problems
        )
        super().__init__(many if rest else first)


@dataclass(frozen=True, slots=True)
class Sources:
    """What to merge, weakest first. `file` is None where there is none."""

    file: Path | None
    environ: Mapping[str, str]
    overrides: Sequence[str] = ()
    flags: Sequence[Flag] = ()


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M_co]):
    """Validated settings, and where every one of them came from."""

    settings: M_co
    origins: Mapping[Key, Origin]
    tree: Tree
    file: Path | None

    def rows(self) -> Iterator[tuple[Setting, object, Origin]]:
        """Every setting with its value as the model holds it and its origin, in the order of declaration."""
        for key, setting in self.tree.settings.items():
            yield setting, plain_value(self.settings, key), self.origins[key]


def load(
    model: type[M], sources: Sources, conflicts: Callable[[M], Iterable[Conflict]] = lambda _: ()
) -> Loaded[M]:
    """Read, merge and validate: default < file < environment < `--set` < the command's own flags.

    A list or table replaces the one from a weaker source as a whole. `conflicts` names settings that do not
    go together. Raises SettingsError with every problem found.
    """
    tree = tree_of(model)
    readings = [
        read_file(sources.file, tree) if sources.file is not None else Reading(),
        read_environment(sources.environ, tree),
        read_overrides(sources.overrides, tree),
        read_flags(sources.flags),
    ]
    given = {item.key: item for reading in readings for item in reading.assignments}
    problems = [problem for reading in readings for problem in reading.problems]
    problems += [problem for item in given.values() for problem in _not_finite(item, tree)]
    try:
        settings = model.model_validate(_nested(given.values()))
    except ValidationError as error:
        problems += [
            _sentence(detail, given, tree)
            for detail in error.errors(include_url=False)
            if detail["type"] != _AFTER_OTHERS
        ]
        raise SettingsError(problems) from None
    origins = {key: _origin(key, settings, given, tree) for key in tree.settings}
    problems += [f"{_place(tuple(name.split('.')), given)}: {say}" for name, say in conflicts(settings)]
    if problems:
        raise SettingsError(problems)
    return Loaded(settings, origins, tree, sources.file)


def _nested(given: Iterable[Assignment]) -> dict[str, object]:
    document: dict[str, Any] = {}
    for item in given:
        table = document
        for part in item.key[:-1]:
            table = table.setdefault(part, {})
        table[item.key[-1]] = item.value
    return document


def _origin(key: Key, settings: BaseModel, given: Mapping[Key, Assignment], tree: Tree) -> Origin:
    if key in given:
        return given[key].origin
    return DEFAULT if plain_value(settings, key) == tree.settings[key].default else Origin(Kind.DERIVED)


def _not_finite(item: Assignment, tree: Tree) -> Iterator[str]:
    """Infinity and not-a-number pass most bounds, and then break the first computation that meets them."""
    expected = tree.settings[item.key].expected
    text = item.value.strip().lower().lstrip("+-") if isinstance(item.value, str) else ""
    if isinstance(item.value, float) and not math.isfinite(item.value):
        text = "inf"
    if "number" in expected and text in {"inf", "infinity", "nan"}:
        yield f"{item.origin}: {'.'.join(item.key)} must be {expected}, and finite."


def _sentence(detail: Any, given: Mapping[Key, Assignment], tree: Tree) -> str:
    """One error of pydantic in our words: place, setting, what is expected, what was found."""
    location = tuple(str(part) for part in detail["loc"])
    key = next((location[:n] for n in range(len(location), 0, -1) if location[:n] in tree.settings), None)
    message = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    if key is None:  # a rule over several settings of a section
        section = ".".join(location)
        return f"{_place(location, given)}: {section + ': ' if section else ''}{message}."
    setting, description = tree.settings[key], tree.settings[key].description
    if detail["type"] == "missing" and key not in given:
        return f"{setting.name} is not set and has no default; set it as {setting.variable}. {description}"
    inside = ".".join(location[len(key) :])
    if inside and setting.expected.startswith(_TABLES):
        return f"{_place(location, given)}: {_in_table(setting, location[len(key) :], detail, message)}."
    where = f"{setting.name}, at {inside}," if inside else setting.name
    found = _shown(detail["input"], setting)
    reason = f" ({message})" if inside or detail["type"] in {"value_error", "assertion_error"} else ""
    sentence = f"{_place(location, given)}: {where} must be {setting.expected}, not {found}{reason}."
    return f"{sentence} {description}".rstrip()


def _in_table(setting: Setting, inside: Key, detail: Any, message: str) -> str:
    """What is wrong in one of several tables: what is expected of all of them says little about it."""
    number, *fields = inside
    where = ".".join((f"{setting.name}[{number}]", *fields))
    match detail["type"]:
        case "missing":
            return f"{where} is not set and has no default"
        case "extra_forbidden":
            return f"{where}: there is no such key"
        case "value_error" | "assertion_error":
            return f"{where}: {message}"
        case _:
            return f"{where}: {message}, not {_shown(detail['input'], setting)}"


def _shown(value: object, setting: Setting) -> str:
    text = MASK if setting.holds_secrets else hide_in_text(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _place(location: Key, given: Mapping[Key, Assignment]) -> str:
    """Where the closest thing to a location was set; for a section, every place that set something in it."""
    for length in range(len(location), 0, -1):
        item = given.get(location[:length])
        if item is not None:
            inner = (location[:n] for n in range(len(location), length, -1))
            return str(next((item.inner[key] for key in inner if key in item.inner), item.origin))
    below = sorted({str(item.origin) for key, item in given.items() if key[: len(location)] == location})
    return ", ".join(below) or "the defaults"
