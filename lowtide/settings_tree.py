"""Reads a settings model as a flat list: what can be set, under which names, and what is expected there.

Everything that talks about settings (loading, `lowtide config`, the documentation) goes through this list,
so a field added to a package's model appears everywhere at once. The trap: only a field whose annotation is
itself a model is a section; `Model | None` and `list[Model]` are single settings.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from lowtide.redaction import is_secret_name

ENVIRONMENT_PREFIX = "LOWTIDE_"
NESTING = "__"

Key = tuple[str, ...]

_NAMES: Mapping[str, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "Path": "a path",
    "Decimal": "a decimal number",
    "SecretStr": "text",
    "SecretBytes": "text",
    "ZoneInfo": "a time zone name such as Europe/Berlin",
    "timedelta": "a duration",
    "datetime": "a date and time",
    "date": "a date",
}
_BOUNDS = (
    ("ge", "at least {}"),
    ("gt", "above {}"),
    ("le", "at most {}"),
    ("lt", "below {}"),
    ("multiple_of", "a multiple of {}"),
    ("min_length", "of length {} or more"),
    ("max_length", "of length {} or less"),
    ("pattern", "matching {}"),
)
_CONTAINERS = (list, tuple, set, frozenset, dict, Mapping)


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set."""

    key: Key
    expected: str  # for a person: "a whole number, at least 0, at most 65535"
    default: object  # None too where there is none
    description: str
    secret: bool
    optional: bool  # None is allowed and means "not set"
    structured: bool  # a list or table: in a variable it is written as JSON or TOML

    @property
    def name(self) -> str:
        """`api.port`, as in error messages and `--set`."""
        return ".".join(self.key)

    @property
    def holds_secrets(self) -> bool:
        """Whether a value that is refused may hold one, so that it must not be repeated: a password stands in
        addresses too, and where in one that cannot be parsed nobody knows."""
        return self.secret or self.key[-1].endswith("url")

    @property
    def variable(self) -> str:
        """`LOWTIDE_API__PORT`."""
        return ENVIRONMENT_PREFIX + NESTING.join(self.key).upper()


@dataclass(frozen=True, slots=True)
class Section:
    """One group of settings: a TOML table, a package's model."""

    key: Key
    description: str


@dataclass(frozen=True, slots=True)
class Tree:
    """All settings of a model, in the order in which they are declared."""

    settings: Mapping[Key, Setting]
    sections: Mapping[Key, Section]


def tree_of(model: type[BaseModel]) -> Tree:
    """Every setting and section of a model, sections at any depth."""
    settings: dict[Key, Setting] = {}
    sections: dict[Key, Section] = {}
    for item in _walk(model, ()):
        if isinstance(item, Setting):
            settings[item.key] = item
        else:
            sections[item.key] = item
    return Tree(settings, sections)


def plain_value(settings: BaseModel, key: Key) -> object:
    """The value under a key, as the model holds it."""
    value: object = settings
    for part in key:
        value = getattr(value, part)
    return value


def _walk(model: type[BaseModel], above: Key) -> Iterator[Setting | Section]:
    for name, field in model.model_fields.items():
        key = (*above, name)
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield Section(
                key, _first_line(annotation.__doc__) if not field.description else field.description
            )
            yield from _walk(annotation, key)
        else:
            yield _setting(key, field)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n\n")[0].replace("\n    ", " ")


def _setting(key: Key, field: FieldInfo) -> Setting:
    inner, optional = _without_none(field.annotation)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return Setting(
        key=key,
        expected=", ".join([_type_words(inner), *_bounds(field.metadata)])
        + (", or unset" if optional else ""),
        default=default,
        description=" ".join((field.description or "").split()),
        secret=inner in (SecretStr, SecretBytes) or (inner is str and is_secret_name(key[-1])),
        optional=optional,
        structured=_is_structured(inner),
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    rest = [part for part in get_args(annotation) if part is not types.NoneType]
    inner = rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007 - built from a tuple
    return inner, len(rest) < len(get_args(annotation))


def _is_structured(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, (*_CONTAINERS, BaseModel))


def _type_words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return ", ".join([_type_words(inner[0]), *_bounds(inner[1:])])
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join(_type_words(part) for part in inner)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(str(member.value) for member in annotation)
    return _container_words(origin or annotation, inner)


def _container_words(kind: Any, inner: tuple[Any, ...]) -> str:
    if not isinstance(kind, type):
        return str(kind)
    if issubclass(kind, Mapping):
        return f"a table whose values are {_type_words(inner[1])}" if inner else "a table"
    if issubclass(kind, tuple) and inner and inner[-1] is not Ellipsis:
        return "a list of " + ", then ".join(_type_words(part) for part in inner)
    if issubclass(kind, (list, tuple, set, frozenset)):
        return f"a list, each {_type_words(inner[0])}" if inner else "a list"
    if issubclass(kind, BaseModel):
        return "a table"
    return _NAMES.get(kind.__name__, kind.__name__)


def _bounds(metadata: Any) -> list[str]:
    words = []
    for item in metadata:
        for attribute, phrase in _BOUNDS:
            value = getattr(item, attribute, None)
            if value is not None:
                words.append(phrase.format(value))
    return words
