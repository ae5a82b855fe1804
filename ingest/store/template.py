"""Fills the placeholders of SQL files. `ingest.store.migrate` and `ingest.store.sql` render each statement.

`${name}` stands for a value given by the caller or for the file `fragments/<name>.sql`;
`${name(first, second)}` for such a file with `$1` and `$2` replaced. What repeats across tables - the type
of an attribute, how a value becomes text, who a resource is - is written once that way. `${span.status.code}`
is that element of a tuple: written as the call it stands for, since the engine takes milliseconds to find
what a name with dots means (ADR 14). Nothing here ever comes from a user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, reduce
from importlib.resources import files

_PLACEHOLDER = re.compile(r"\$\{([a-z_0-9]+)(?:\(([^(){}]*)\)|((?:\.[a-z_0-9]+)+))?\}")
_MAX_DEPTH = 12


def render(text: str, values: Mapping[str, str]) -> str:
    """The statement with every placeholder replaced. Raises LookupError for one that means nothing."""
    for _ in range(_MAX_DEPTH):
        text, count = _PLACEHOLDER.subn(lambda match: _meaning(match, values), text)
        if not count:
            return text
    raise LookupError("fragments include each other without end")


def _meaning(match: re.Match[str], values: Mapping[str, str]) -> str:
    name, arguments, path = match.groups()
    if path is not None:
        return reduce(lambda whole, part: f"tupleElement({whole}, '{part}')", path[1:].split("."), name)
    if arguments is None and name in values:
        return values[name]
    fragment = _fragment(name)
    if arguments is not None:
        for number, argument in enumerate(arguments.split(", "), 1):
            fragment = fragment.replace(f"${number}", argument)
    return fragment


@cache
def _fragment(name: str) -> str:
    source = files("ingest.store").joinpath("fragments", f"{name}.sql")
    if not source.is_file():
        raise LookupError(f"${{{name}}} is neither a value nor a file in fragments/")
    lines = source.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
