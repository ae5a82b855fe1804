"""The four places a setting can come from, each read into assignments that remember their origin.

`lowtide.settings_load` merges them. The trap: nothing is judged here except that the name exists; whether a
value fits is decided once, after merging, so that a wrong value that is overridden does no harm.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from lowtide.settings_tree import ENVIRONMENT_PREFIX, Key, Setting, Tree
from lowtide.toml_lines import key_lines

FILE_NAME = "lowtide.toml"
MAX_FILE_BYTES = 262_144
"""A settings file of a quarter MiB is a mistake, and the search for line numbers would take seconds."""

NOT_SETTINGS = frozenset({"LOWTIDE_DEMO_TOKEN", "LOWTIDE_TEST_DATA"})
"""Variables with our prefix that are no settings: options of commands, and the folder of test data."""


_AFTER_NAME = re.compile(r"[^\w.-].*", re.DOTALL)


class Kind(StrEnum):
    """The kinds of origin, weakest first."""

    DEFAULT = "default"
    DERIVED = "derived"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: `place` is `lowtide.toml:12`, a variable's name or a flag."""

    kind: Kind
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.kind.value


DEFAULT = Origin(Kind.DEFAULT)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One value somebody gave to a setting. `inner` names the places of what lies inside a table."""

    key: Key
    value: object
    origin: Origin
    inner: Mapping[Key, Origin] = field(default_factory=dict)


class Flag(NamedTuple):
    """An option of a command that overrides a setting; a value of None means it was not given."""

    option: str  # "--api-port"
    setting: str  # "api.port"
    value: object


@dataclass(slots=True)
class Reading:
    """What one source says, and what is wrong with it, as sentences that begin with the place."""

    assignments: list[Assignment] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_file(named: Path | None, working: Path, environ: Mapping[str, str]) -> Path | None:
    """The settings file in use: the one named, else `./lowtide.toml`, else the user's own; None if there is
    none.

    The user's own is `$XDG_CONFIG_HOME/lowtide/lowtide.toml`, by default under `~/.config`. Files are not
    merged.
    """
    if named is not None:
        return named
    home = environ.get("HOME")
    own = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    places = [working / FILE_NAME]
    if own and Path(own).is_absolute():
        places.append(Path(own) / "lowtide" / FILE_NAME)
    return next((place for place in places if place.is_file()), None)


def read_file(path: Path, tree: Tree) -> Reading:
    """The assignments of a TOML file. A file that cannot be read or parsed is one problem and no
    assignments.
    """
    reading = Reading()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            reading.problems.append(f"{path}: larger than {MAX_FILE_BYTES} bytes, this is no settings file.")
            return reading
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        document = tomllib.loads(text)
    except OSError as error:
        reading.problems.append(f"{path}: cannot be read: {error.strerror or error}.")
    except UnicodeDecodeError:
        reading.problems.append(f"{path}: is not UTF-8 text.")
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(f"{path}: is not valid TOML: {error}.")
    else:
        places = {key: Origin(Kind.FILE, f"{path}:{line}") for key, line in key_lines(text).items()}
        _take_table(document, (), tree, places, reading)
    return reading


def _take_table(
    table: Mapping[str, object], above: Key, tree: Tree, places: Mapping[Key, Origin], reading: Reading
) -> None:
    for name, value in table.items():
        key = (*above, name)
        # A key inside an inline table stands where the table stands.
        origin = next(places[key[:n]] for n in range(len(key), 0, -1) if key[:n] in places)
        if key in tree.settings:
            inner = {place: at for place, at in places.items() if place[: len(key)] == key and place != key}
            reading.assignments.append(Assignment(key, value, origin, inner))
        elif key not in tree.sections:
            reading.problems.append(f"{origin}: {_unknown(key, tree)}")
        elif isinstance(value, Mapping):
            _take_table(value, key, tree, places, reading)
        else:
            path = ".".join(key)
            reading.problems.append(f"{origin}: {path} is a section; write its settings below [{path}].")


def read_environment(environ: Mapping[str, str], tree: Tree) -> Reading:
    """The assignments of the `LOWTIDE_*` variables. An empty one unsets a setting that may be unset."""
    reading = Reading()
    by_variable = {setting.variable: setting for setting in tree.settings.values()}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NOT_SETTINGS:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            meant = _close(variable, by_variable)
            reading.problems.append(f"{variable}: no such setting.{meant}")
            continue
        value = from_text(setting, environ[variable])
        reading.assignments.append(Assignment(setting.key, value, Origin(Kind.ENVIRONMENT, variable)))
    return reading


def read_overrides(pairs: Iterable[str], tree: Tree) -> Reading:
    """The assignments of `--set section.key=value`. The last one for a key counts."""
    reading = Reading()
    for pair in pairs:
        written, equals, text = pair.partition("=")
        # What follows a mistyped name may be a value, and that a secret: it is not repeated.
        name = _AFTER_NAME.sub("", written.strip())
        key = tuple(name.split("."))
        place = f"--set {name}"
        if not equals or name != written.strip():
            reading.problems.append(f"{place}: write --set KEY=VALUE, for example --set api.port=8686.")
        elif key in tree.settings:
            value = from_text(tree.settings[key], text)
            reading.assignments.append(Assignment(key, value, Origin(Kind.FLAG, place)))
        else:
            reading.problems.append(f"{place}: {_unknown(key, tree)}")
    return reading


def read_flags(flags: Sequence[Flag]) -> Reading:
    """The assignments of a command's own options. Their settings exist: the commands' tests see to that."""
    return Reading(
        [
            Assignment(tuple(flag.setting.split(".")), flag.value, Origin(Kind.FLAG, flag.option))
            for flag in flags
            if flag.value is not None
        ]
    )


def from_text(setting: Setting, text: str) -> object:
    """A value written as text: lists and tables as JSON or TOML, anything else as it is.

    What cannot be parsed stays text, and is then refused as not being a list or table.
    """
    if not text and setting.optional:
        return None
    if not setting.structured:
        return text
    for candidate in _parsed(text):
        return candidate
    return text


def _parsed(text: str) -> Iterator[object]:
    try:
        yield json.loads(text)
    except ValueError:
        try:
            yield tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            return


def _unknown(key: Key, tree: Tree) -> str:
    name = ".".join(part if part and "." not in part else f'"{part}"' for part in key)
    if key in tree.sections:
        return f"{name} is a section; name one of its settings, for example {_example(key, tree)}."
    known = [".".join(known) for known in (*tree.settings, *tree.sections)]
    return f"no such setting: {name}.{_close(name, known)}"


def _example(section: Key, tree: Tree) -> str:
    return next(setting.name for key, setting in tree.settings.items() if key[: len(section)] == section)


def _close(name: str, known: Iterable[str]) -> str:
    """A suggestion: the closest name, else one that ends alike in another section."""
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    if not found:
        last = name.replace("__", ".").rpartition(".")[2].lower()
        found = [other for other in names if other.replace("__", ".").rpartition(".")[2].lower() == last][:1]
    return f" Did you mean {found[0]}?" if found else " See `lowtide config show` for all settings."
