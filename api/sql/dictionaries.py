"""Keeps a statement of one tenant from calling just any function on a column of type LowCardinality. Used by
`api.sql.tenants`.

Such a column keeps its values in a dictionary, and that of a part has values of all tenants in it. The engine
runs a function over the whole dictionary, also over values that no row of the asking tenant has. One that
fails for some value would then tell that somebody has it: `base64Decode(ServiceName)` even quotes it. So only
functions that cannot fail (`functions_total.txt`) may be called there; others need the value taken out of
its dictionary first, by CAST to a type without one.

The statement is judged before anything of it runs, by the names in its unresolved tree. The trap: types are
not known there, and the engine could not be asked for them, since it calls constant functions and scalar
subqueries to find them, and chooses by their answers what it looks at. So a name stands for everything that
it could mean anywhere in the statement, and one whose meaning is unknown for a column in a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from api.sql.errors import SqlRefusedError
from api.sql.lists import (
    HIGHER_ORDER,
    is_aggregate_function,
    is_allowed_function,
    may_give_decimal,
    total_functions,
)
from api.sql.tree import Node, leaves, read_tree


class Trait(IntFlag):
    """What must be known of a value."""

    PLAIN = 0
    SHARED = 1  # may be in a dictionary with values of others
    ODD = 2  # may be a Decimal, which some numbers cannot be compared with


_ANYTHING: Final = Trait.SHARED | Trait.ODD
_CASTS: Final = frozenset({"cast", "_cast", "accuratecast", "accuratecastornull"})
_TAKES_OUT: Final = re.compile(r"'(?!.*(?:LowCardinality|Dynamic|JSON|Object|Variant|AggregateFunction)).+'")
"""Types, as constants of the tree, that have no dictionary in them."""
_SETS: Final = frozenset({
    "exists", "globalin", "globalnotin", "globalnotnullin", "globalnullin", "in", "notin", "notnullin",
    "nullin",
})  # fmt: skip
"""Functions that take a subquery for a set, which the engine makes row by row."""
_IN_STEP: Final = frozenset({
    "arrayAll", "arrayAvg", "arrayCount", "arrayExists", "arrayFilter", "arrayFirst", "arrayFirstIndex",
    "arrayLast", "arrayLastIndex", "arrayMap", "arrayMax", "arrayMin", "arrayReverseSort", "arraySort",
    "arraySum",
})  # fmt: skip
"""Functions whose lambda gets the elements of the first array as its first parameter, and so on."""
_OF_TABLE_FUNCTIONS: Final = ("generate_series", "number", "prime")
_SIMPLE_NAME: Final = re.compile(r"\w+(?:\.\w+)*")
_NAMED_WITH: Final = re.compile(r"\) AS (?:(?:NOT )?MATERIALIZED )?\(")
"""`WITH t(a, b) AS (...)`; nothing else has brackets on both sides of AS."""
_ROUNDS: Final = 12
"""Names that are given by way of so many others are not followed further."""
_LONGEST_PATH: Final = 12
_SHOWN_CHARACTERS: Final = 64

Columns = Mapping[str, tuple[bool, bool]]
"""By name, whether a column is in a dictionary, and whether it may be a Decimal."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A statement in the engine's words: `unquoted` is the normalised one without what stands in quotes,
    `syntax` its syntax tree, `tree` its unresolved query tree.
    """

    unquoted: str
    syntax: str
    tree: str


def check_dictionaries(statement: Explained, columns: Columns) -> None:
    """Raise SqlRefusedError for a function that must not see a dictionary. `columns` are those of all tables
    that the statement names.
    """
    if _NAMED_WITH.search(statement.unquoted) or _has_column_list(statement.syntax):
        raise SqlRefusedError(
            "Names of columns behind an alias, as in AS t(a, b), are refused for tokens of one tenant: write "
            "SELECT x AS a, y AS b"
        )
    nodes = read_tree(statement.tree)
    judge = _Judge(nodes, columns)
    judge.settle()
    judge.check()


def _has_column_list(syntax: str) -> bool:
    """Whether a table's columns are named by their places, `AS t(a, b)`: the query tree leaves that out."""
    above: list[str] = []
    for line in syntax.splitlines():
        word = line.lstrip(" ")
        del above[len(line) - len(word) :]
        if word.startswith("ExpressionList") and above and above[-1].startswith("TableExpression"):
            return True
        above.append(word)
    return False


class _Judge:
    """Finds what each part of a statement may be, then looks at every call."""

    def __init__(self, nodes: Sequence[Node], columns: Columns) -> None:
        self._nodes = nodes
        self._known = dict.fromkeys(_OF_TABLE_FUNCTIONS, Trait.PLAIN)
        for name, (in_dictionary, decimal) in columns.items():
            self._known[name] = (Trait.SHARED if in_dictionary else Trait.PLAIN) | (
                Trait.ODD if decimal else Trait.PLAIN
            )
        self._traits: dict[Node, Trait] = {}
        self._given: list[tuple[str, Sequence[Node] | None]] = []
        self._is_clear = True
        for node in nodes:
            self._is_clear &= self._give_names(node)

    def settle(self) -> None:
        """Find what every name stands for: all that is called so anywhere, and columns of that name."""
        for name, _ in self._given:
            self._known.setdefault(name, Trait.PLAIN)
        for _ in range(_ROUNDS):
            self._look()
            if not self._learn():
                return
        self._is_clear = False
        self._look()

    def check(self) -> None:
        """Raise SqlRefusedError for the first call that must not be."""
        for node in self._nodes:
            if node.kind == "FUNCTION":
                self._check_call(node)

    def _give_names(self, node: Node) -> bool:
        """Note the names that a node gives; False if some of them cannot be told."""
        match node.kind:
            case "FUNCTION" | "IDENTIFIER" | "CONSTANT" if node.alias and not node.stands_for_rows:
                self._given.append((node.alias, [node]))
            case "QUERY" | "UNION" if node.alias and not node.stands_for_rows:
                self._given.append((node.alias, [node]))
            case "REPLACEMENT NAME":
                self._given.append((node.name, node.children))
            case "LAMBDA":
                self._name_parameters(node)
            case "APPLY COLUMN TRANSFORMER":
                return False  # may put something in front of the names
        return node.kind != "UNION" or self._name_union(node)

    def _name_parameters(self, node: Node) -> None:
        if node.alias:
            raise SqlRefusedError(
                f"The lambda called {node.alias} is refused for tokens of one tenant: write it where it is "
                "used"
            )
        names = [child.name for part in node.children if part.kind == "ARGUMENTS" for child in part.children]
        call = _call_around(node)
        values = [arg for arg in call.part("ARGUMENTS") if arg is not node] if call else None
        if call and values and call.name in _IN_STEP and len(values) == len(names):
            self._given.extend((name, [value]) for name, value in zip(names, values, strict=True))
        else:
            # Of a fold, what the lambda gives is its parameter the next time.
            self._given.extend((name, [*values, node] if values is not None else None) for name in names)

    def _name_union(self, node: Node) -> bool:
        """The columns of a union are called as in its first query and hold what is there in each."""
        lists = [query.part("PROJECTION") for query in leaves(node)]
        if any(column.kind == "MATCHER" for columns in lists for column in columns):
            return False
        for number, column in enumerate(lists[0]):
            values = [columns[number] for columns in lists if number < len(columns)]
            if column.alias:
                self._given.append((column.alias, values))
            elif column.kind == "IDENTIFIER":
                parts = column.name.split(".")
                if len(parts) > _LONGEST_PATH:
                    return False
                self._given.extend((".".join(parts[begin:]), values) for begin in range(len(parts)))
        return True

    def _look(self) -> None:
        """Find what every node may be; what is below it comes behind it, so from the end."""
        for node in reversed(self._nodes):
            self._traits[node] = self._trait(node)

    def _learn(self) -> bool:
        """Add to the names what the nodes have become; False if there was nothing to add."""
        has_learned = False
        for name, values in self._given:
            before = self._known[name]
            after = before | (self._joined(values) if values is not None else _ANYTHING)
            if after != before:
                self._known[name] = after
                has_learned = True
        return has_learned

    def _joined(self, nodes: Iterable[Node]) -> Trait:
        joined = Trait.PLAIN
        for node in nodes:
            joined |= self._traits[node]
        return joined

    def _trait(self, node: Node) -> Trait:
        match node.kind:
            case "CONSTANT":
                return Trait.PLAIN
            case "MATCHER":
                return _ANYTHING
            case "IDENTIFIER":
                return self._meaning(node.name)
            case "FUNCTION":
                return self._result(node)
            case "QUERY":
                return self._joined(node.part("PROJECTION"))
            case _:
                return self._joined(child for child in node.children if child.kind != "ARGUMENTS")

    def _meaning(self, name: str) -> Trait:
        """What a name may stand for: columns and aliases in it, wherever its path begins."""
        unknown = Trait.SHARED if _SIMPLE_NAME.fullmatch(name) else _ANYTHING
        parts = name.split(".")
        if not self._is_clear or len(parts) > _LONGEST_PATH:
            return unknown
        found, is_known = Trait.PLAIN, False
        for begin in range(len(parts)):
            for end in range(begin + 1, len(parts) + 1):
                meaning = self._known.get(".".join(parts[begin:end]))
                if meaning is not None:
                    found |= meaning
                    is_known |= end == len(parts)
        return found if is_known else found | unknown

    def _result(self, node: Node) -> Trait:
        args = _values(node)
        joined = self._joined(args)
        if _is_aggregate(node):
            return joined & ~Trait.SHARED
        if _takes_out(node):
            return Trait.ODD if "Decimal" in args[1].name else Trait.PLAIN
        if node.name.lower() in _CASTS:
            return _ANYTHING
        total = total_functions().get(node.name.lower())
        if total is None:
            return Trait.ODD if may_give_decimal(node.name) else Trait.PLAIN
        match total.gives:
            case "handed":
                return joined
            case "plain":
                return joined & ~Trait.SHARED
            case _:
                return joined & ~Trait.ODD

    def _check_call(self, node: Node) -> None:
        args = _values(node)
        shared = [number for number, arg in enumerate(args) if self._traits[arg] & Trait.SHARED]
        if _is_applied(node) and not args:
            shared = [0]
        if not shared or _is_aggregate(node) or _takes_out(node):
            return
        shown = _shown(args[shared[0]]) if args else "a column"
        total = total_functions().get(node.name.lower())
        if total is None or not total.takes(shared):
            raise SqlRefusedError(_reason(node.name, shown, is_clear=self._is_clear))
        if total.compares and self._joined(args) & Trait.ODD:
            raise SqlRefusedError(
                f"{node.name} of {shown} and a value whose type is not plain to see is refused for tokens of "
                "one tenant, since the one may be in a dictionary with values of others and the other a "
                "Decimal: write CAST(..., 'String') or CAST(..., 'Float64') around the other"
            )
        if node.name in HIGHER_ORDER and len(args) > 1 and _may_name_a_function(args[0]):
            raise SqlRefusedError(
                f"{node.name} with {args[0].name} for a lambda is refused for tokens of one tenant: write "
                f"x -> {args[0].name}(x)"
            )


def _values(call: Node) -> list[Node]:
    """The arguments of a call, without subqueries that it takes for sets."""
    args = call.part("ARGUMENTS")
    if call.name.lower() in _SETS:
        return [arg for arg in args if arg.kind not in {"QUERY", "UNION"}]
    return args


def _takes_out(call: Node) -> bool:
    """Whether it is a CAST to a type that has no dictionary."""
    args = call.part("ARGUMENTS")
    return (
        call.name.lower() in _CASTS
        and len(args) > 1
        and args[1].kind == "CONSTANT"
        and _TAKES_OUT.fullmatch(args[1].name) is not None
    )


def _reason(name: str, shown: str, *, is_clear: bool) -> str:
    advice = (
        f"Write CAST({shown}, 'String'), or another type without LowCardinality, in its place; give what a "
        "subquery computes a name with AS"
        if is_clear
        else "What names mean is not plain to see beside APPLY and a UNION of asterisks: name the columns"
    )
    return (
        f"{name} is refused on {shown} for tokens of one tenant: {shown} may be of type LowCardinality, "
        f"whose values are in a dictionary with those of others, and {name} may fail on one of them. {advice}"
    )


def _shown(node: Node) -> str:
    match node.kind:
        case "IDENTIFIER":
            shown = node.name[:_SHOWN_CHARACTERS]
            return shown if shown == node.name else f"{shown}…"
        case "FUNCTION":
            return f"{node.name}(...)"
        case _:
            return "this argument"


def _is_aggregate(node: Node) -> bool:
    """Aggregate and window functions work row by row and make their results anew."""
    return is_aggregate_function(node.name) or any(child.kind == "WINDOW" for child in node.children)


def _is_applied(node: Node) -> bool:
    """Whether it is called on every column of an asterisk: `* APPLY f`."""
    above = node.parent.parent if node.parent else None
    return above is not None and above.kind == "APPLY COLUMN TRANSFORMER"


def _call_around(node: Node) -> Node | None:
    """The call that a node is an argument of."""
    listed = node.parent
    part = listed.parent if listed else None
    call = part.parent if part else None
    return call if call and part and part.kind == "ARGUMENTS" and call.kind == "FUNCTION" else None


def _may_name_a_function(node: Node) -> bool:
    return node.kind == "IDENTIFIER" and "." not in node.name and is_allowed_function(node.name)
