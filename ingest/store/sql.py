"""Finds the SQL that lies in `.sql` files beside the Python that runs it.

Every package keeps its queries in its own `sql/` folder, one query a file. What several of them say alike is
a fragment, as in migrations. The trap: a statement is never put together from values; those are bound as
`{name:Type}` parameters.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from ingest.store.template import render

_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


@cache
def load_sql(package: str, name: str) -> str:
    """The text of `<package>/sql/<name>.sql`, without the comment above the statement.

    Raises ValueError for a name that is none, FileNotFoundError for a query that does not exist, LookupError
    for a fragment that does not.
    """
    if not _NAME.match(name):
        raise ValueError(f"{name!r} does not name a query: lower case, digits and _ only")
    return _statement(files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8"))


@cache
def load_view(name: str) -> str:
    """The statement that makes a view, of the newest migration that does, without the comment above it.

    Raises FileNotFoundError for one that none makes.
    """
    root = files("ingest.store").joinpath("migrations")
    found = [
        source
        for migration in sorted(root.iterdir(), key=lambda entry: entry.name)
        if migration.is_dir()
        for source in migration.iterdir()
        if source.name.partition("_")[2] == f"{name}.sql"
    ]
    if not found:
        raise FileNotFoundError(f"no migration makes {name}")
    return _statement(found[-1].read_text(encoding="utf-8"))


def _statement(text: str) -> str:
    lines = text.splitlines()
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("--")):
        lines.pop(0)
    return render("\n".join(lines).rstrip().removesuffix(";"), {})
