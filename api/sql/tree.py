"""The engine's query tree of a statement, read from what `EXPLAIN QUERY TREE run_passes = 0` prints. Used by
`api.sql.dictionaries`.

The trap: names and patterns of columns are printed as they are, so one may look like a part of the tree.
Nodes are therefore numbered on, lists counted, and lines that could be read in two ways not read at all: a
tree that does not add up is no tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from api.sql.errors import SqlRefusedError

_LINE: Final = re.compile(
    r"( *)(?:(REPLACEMENT NAME|EXPRESSION)(| .*)|([A-Z][A-Z_]*(?: [A-Z_]+)*)(?: id: (\d+)(.*)|(?: \d+)? ?))"
)
"""Indentation; then what comes with a text and no number, or what comes with a number or nothing."""
_NAME: Final = r"((?:(?!: ).)*)"
_ALIAS: Final = rf"(?:, alias: {_NAME})?"
_QUERY: Final = (
    rf"(?:, alias: {_NAME}(?=, is_subquery: (?!.*, is_subquery: )))?(?:, (?!alias: )[a-z_]+: .*)?()"
)
_DETAILS: Final = {
    "FUNCTION": re.compile(
        rf"{_ALIAS}, function_name: ([^,\s]+), function_type: (?:ordinary|window)(?:, nulls_action : \w+)?"
    ),
    "IDENTIFIER": re.compile(rf"{_ALIAS}, identifier: {_NAME}(?:, final: .*)?"),
    "CONSTANT": re.compile(
        rf"(?:, alias: {_NAME}(?=, constant_value: (?!.*, constant_value: )))?, constant_value: (.*), "
        r"constant_value_type: .*"
    ),
    "LAMBDA": re.compile(rf"{_ALIAS}()"),
    "QUERY": re.compile(_QUERY),
    "UNION": re.compile(_QUERY),
    "ARGUMENT": re.compile(rf"(), name: {_NAME}"),
    "REPLACEMENT NAME": re.compile(rf"() {_NAME} EXPRESSION"),
}
"""Alias and name, by kind, in the rest of the line. A name with ': ' in it could be read in two ways."""
_NUMBERED: Final = frozenset(_DETAILS) - {"ARGUMENT", "REPLACEMENT NAME"}
_LIST: Final = re.compile(r", nodes: (\d+)")
_TABLE_PLACES: Final = frozenset({
    "JOIN TREE", "TABLE EXPRESSION", "LEFT TABLE EXPRESSION", "RIGHT TABLE EXPRESSION",
})  # fmt: skip


@dataclass(slots=True, eq=False)
class Node:
    """A line of the tree with what is below it. `kind` is a node's (FUNCTION) or the heading of a part
    (ARGUMENTS); `name` a function's, an identifier's, a parameter's, or a constant as the engine writes it.
    """

    kind: str
    alias: str | None = None
    name: str = ""
    parent: Node | None = field(default=None, repr=False)
    children: list[Node] = field(default_factory=list, repr=False)

    @property
    def stands_for_rows(self) -> bool:
        """Whether it stands where a table does; its alias then is no value's name."""
        return self.parent is not None and self.parent.kind in _TABLE_PLACES

    def part(self, heading: str) -> list[Node]:
        """What a part of this node lists: the arguments of a function, the projection of a query."""
        for child in self.children:
            if child.kind == heading:
                return [
                    node for at in child.children for node in (at.children if at.kind == "LIST" else [at])
                ]
        return []


def read_tree(printed: str) -> list[Node]:
    """All nodes and headings in the order in which they are printed: whatever is above comes first.

    Raises SqlRefusedError for a tree that does not add up.
    """
    nodes: list[Node] = []
    open_at: list[tuple[int, Node]] = []
    counts: list[tuple[Node, int]] = []
    expected = 0
    for line in printed.split("\n"):
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise _unreadable()
        kind, number = found[2] or found[4], found[5]
        while open_at and open_at[-1][0] >= len(found[1]):
            open_at.pop()
        parent = open_at[-1][1] if open_at else None
        if number is not None and kind != "ARGUMENT":
            if int(number) != expected:
                raise _unreadable()
            expected += 1
        elif kind in _NUMBERED:
            raise _unreadable()
        rest = found[3] or found[6] or ""
        alias, name = _details(kind, rest)
        node = Node(kind, alias, name, parent)
        if parent is not None:
            parent.children.append(node)
        if kind == "LIST":
            counts.append((node, _listed(rest)))
        nodes.append(node)
        open_at.append((len(found[1]), node))
    if any(len(node.children) != count for node, count in counts):
        raise _unreadable()
    return nodes


def leaves(union: Node) -> Iterator[Node]:
    """The queries that a union is made of, the one first that names its columns."""
    waiting = [union]
    while waiting:
        node = waiting.pop()
        if node.kind == "UNION":
            waiting.extend(reversed(node.part("QUERIES")))
        else:
            yield node


def _details(kind: str, rest: str) -> tuple[str | None, str]:
    pattern = _DETAILS.get(kind)
    if pattern is None:
        return None, ""
    found = pattern.fullmatch(rest)
    if found is None:
        raise _unreadable()
    return found[1] or None, found[2]


def _listed(rest: str) -> int:
    found = _LIST.fullmatch(rest)
    if found is None:
        raise _unreadable()
    return int(found[1])


def _unreadable() -> SqlRefusedError:
    return SqlRefusedError(
        "This statement is refused for tokens of one tenant, since what it names cannot be told with "
        "certainty: use names and patterns of columns without line breaks and without ': '"
    )
