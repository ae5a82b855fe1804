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
    text = files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    lines = text.splitlines()
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("--")):
        lines.pop(0)
    return render("\n".join(lines).rstrip().removesuffix(";"), {})
