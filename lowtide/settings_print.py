"""Writes settings down: as TOML that can be read again, and as the page `docs/settings.md`.

Called by `lowtide config`. The trap: a secret is never written, so the TOML of a configuration that holds one
carries a comment in its place and does not load to the same settings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, SecretBytes, SecretStr, TypeAdapter

from lowtide.redaction import MASK, hide_in_text
from lowtide.settings_load import Loaded
from lowtide.settings_sources import Origin
from lowtide.settings_tree import Key, Setting, Tree, tree_of

_ANY: TypeAdapter[object] = TypeAdapter(object)


def shown_value(setting: Setting, value: object) -> str:
    """The value for a person, in one line; secrets are hidden, wherever they sit in it."""
    if value is None:
        return "(not set)"
    if _is_secret(setting, value):
        return MASK
    return hide_in_text(_visible(value))


def _is_secret(setting: Setting, value: object) -> bool:
    """Whether the whole value is one; an empty one hides nothing."""
    if isinstance(value, (SecretStr, SecretBytes)):
        return len(value.get_secret_value()) > 0
    return setting.secret and value != ""


def as_toml(loaded: Loaded[BaseModel], *, origins: bool = False) -> str:
    """All settings as a `lowtide.toml`. With `origins`, each follows its description and its origin."""
    lines: list[str] = []
    section: Key = ()
    order = {(): 0, **{key: number for number, key in enumerate(loaded.tree.sections, 1)}}
    for setting, value, origin in sorted(loaded.rows(), key=lambda row: order[row[0].key[:-1]]):
        if setting.key[:-1] != section:
            section = setting.key[:-1]
            lines += ["", f"[{'.'.join(section)}]"]
        if origins:
            lines += ["", f"# {setting.description}", f"# From {origin}."]
        lines.append(_assignment(setting, value, origin))
    return "\n".join(lines).strip() + "\n"


def _assignment(setting: Setting, value: object, origin: Origin) -> str:
    name = setting.key[-1]
    if value is None:
        return f"# {name} is not set"
    if _is_secret(setting, value) or hide_in_text(_visible(value)) != _visible(value):
        return f"# {name} is set (from {origin}); it holds a secret, which is not printed"
    return f"{name} = {to_toml(_plain(value))}"


def _visible(value: object) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else to_toml(plain)


def _plain(value: object) -> object:
    """The value as text, numbers, lists and tables, in the form in which it can be read again."""
    if isinstance(value, (SecretStr, SecretBytes)):
        return ""  # only an empty one comes here
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (str, bool, int, float)) and type(value) in (str, bool, int, float):
        return value
    return _ANY.dump_python(value, mode="json", fallback=str)


def to_toml(value: object) -> str:
    """One value in TOML's notation. Raises TypeError for what TOML cannot hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, except that TOML also wants DEL escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, (int, Decimal)):
        return str(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{to_toml(str(key))} = {to_toml(item)}" for key, item in value.items() if item is not None
        )
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Iterable):
        return f"[{', '.join(to_toml(item) for item in value)}]"
    raise TypeError(f"TOML has no notation for {type(value).__name__}")


_PREAMBLE = """\
# Settings

This page is written by `lowtide config docs` from the settings models; a test fails while it is out of date.

A setting comes from, weakest first:

1. its default, below;
2. a settings file: the one named by `--config FILE`, else `lowtide.toml` in the working directory, else
   `$XDG_CONFIG_HOME/lowtide/lowtide.toml` (by default `~/.config/lowtide/lowtide.toml`). One file is read,
   files are not merged;
3. the environment: `LOWTIDE_` and the setting's name in capitals, with two underscores between section and
   name. Lists and tables are written as JSON or TOML. An empty variable unsets a setting that may be unset;
4. flags: `--set section.name=value` with every command, and the command's own options, which count last.

A list or table replaces the one from a weaker source as a whole. Unknown names and wrong values are errors
that say where they stand. `lowtide config show --origin` prints every setting in effect and where it comes
from; `lowtide config show --output toml` prints a file to start from.
"""


def as_markdown(model: type[BaseModel]) -> str:
    """The page `docs/settings.md`: every setting with its variable, what it expects, its default and its
    reason.
    """
    tree = tree_of(model)
    parts = [_PREAMBLE, "## Top level\n", _entries(tree, ())]
    for key, section in tree.sections.items():
        parts += [f"## `[{'.'.join(key)}]`\n", f"{section.description}\n", _entries(tree, key)]
    return "\n".join(part for part in parts if part)


def _entries(tree: Tree, section: Key) -> str:
    return "".join(_entry(setting) for key, setting in tree.settings.items() if key[:-1] == section)


def _entry(setting: Setting) -> str:
    return (
        f"### `{setting.name}`\n\n"
        f"{setting.description}\n\n"
        f"* Default: {_default(setting)}\n"
        f"* Expected: {setting.expected}\n"
        f"* Variable: `{setting.variable}`\n\n"
    )


def _default(setting: Setting) -> str:
    if setting.default is None:
        return "not set"
    shown = MASK if _is_secret(setting, setting.default) else to_toml(_plain(setting.default))
    return f"`{shown}`{_in_units(setting)}"


def _in_units(setting: Setting) -> str:
    """Large sizes are given in MiB too: nobody reads 67108864."""
    value = setting.default
    if not setting.key[-1].endswith("_bytes") or not isinstance(value, int) or value < 1024:
        return ""
    for size, unit in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if value % size == 0:
            return f" ({value // size} {unit})"
    return ""
