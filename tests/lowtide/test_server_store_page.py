"""docs/server-store.md lists every test that is left out where the store is on a server."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(tests/[\w/]+\.py)` \| (\d+) \| (.+) \|$", re.MULTILINE)
Marked = Counter[tuple[str, str]]


def reason_of(node: ast.expr, names: dict[str, str]) -> str | None:
    """Of `pytest.mark.embedded("reason")`, or of a name that stands for it."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.embedded":
        (reason,) = node.args
        return str(ast.literal_eval(reason))
    return None


def marked_in(path: Path) -> Marked:
    """How many test functions of a file are marked, by file and reason."""
    names: dict[str, str] = {}
    of_all: list[str] = []
    found: Marked = Counter()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name):
            if target.id == "pytestmark":
                marks = node.value.elts if isinstance(node.value, ast.List) else [node.value]
                of_all += [reason for mark in marks if (reason := reason_of(mark, names))]
            elif reason := reason_of(node.value, names):
                names[target.id] = reason
        for each in ast.walk(node):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                own = [reason for mark in each.decorator_list if (reason := reason_of(mark, names))]
                found.update((str(path.relative_to(ROOT)), reason) for reason in own or of_all)
    return found


def test_it_lists_them_all_and_nothing_else() -> None:
    page = (ROOT / "docs" / "server-store.md").read_text(encoding="utf-8")
    listed = Counter({(path, reason): int(count) for path, count, reason in ROW.findall(page)})
    marked: Marked = Counter()
    for path in (ROOT / "tests").rglob("test_*.py"):
        marked += marked_in(path)

    assert listed == marked
    assert len(marked) > 5
