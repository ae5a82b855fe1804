"""Reads price files, ours and the user's. Whatever is wrong is found before anything is used.

`load_price_book` is called once, at start-up; `parse_prices` by `lowtide prices check` as well. The trap: a
later file wins thing by thing, so two prices for one thing and day are a mistake within a file only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Final

from analytics.errors import PriceBookError
from analytics.price_entries import Dated, Plan, PriceEntry
from analytics.prices import Listing, PriceBook
from ingest.yaml_lines import Items, Node, Problem, Table, YamlError, checked, once, read_yaml

_LISTS: Final[Mapping[str, type[Dated]]] = {"entries": PriceEntry, "plans": Plan}


def load_price_book(own: Sequence[Path] = ()) -> PriceBook:
    """The list prices that come with Lowtide, and after them the user's files. Raises PriceBookError.

    Every problem of every file is collected before anything is raised; nothing is half-loaded.
    """
    listings, problems = [*shipped()], []
    for rank, path in enumerate(own, 1):
        found, wrong = read_prices(path, rank)
        listings += found
        problems += wrong
    if problems:
        raise PriceBookError(problems)
    return PriceBook(listings)


def shipped() -> Iterator[Listing]:
    """The prices in the package. Raises PriceBookError, which a test of ours would have seen."""
    folder = sorted(files("analytics").joinpath("prices").iterdir(), key=lambda item: item.name)
    for item in folder:
        if item.name.endswith(".yaml"):
            found, wrong = parse_prices(item.read_text(encoding="utf-8"), item.name)
            if wrong:
                raise PriceBookError(wrong)
            yield from found


def read_prices(path: Path, rank: int) -> tuple[list[Listing], list[str]]:
    """The prices of a file of the user's; `rank` grows with the files, and the higher wins."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"]
    return parse_prices(text, str(path), rank)


def parse_prices(text: str, name: str, rank: int = 0) -> tuple[list[Listing], list[str]]:
    """The prices of one file, or a sentence with file, line and field for each that is unusable.

    What stands beside `entries` and `plans` holds for every entry that does not say otherwise.
    """
    try:
        document = read_yaml(text, name)
    except YamlError as error:
        return [], [str(problem) for problem in error.problems]
    if not isinstance(document, Table):
        return [], [str(Problem(name, 1, "", "a price file is a table with the list entries, plans or both"))]
    listings: list[Listing] = []
    problems = [*_strange(document, name)]
    for key, model in _LISTS.items():
        common = {field: node for field, node in document.fields.items() if field in model.model_fields}
        found, wrong = _entries(document.fields.get(key), model, key, common, name, rank)
        listings += found
        problems += wrong
    if not problems:
        problems += _repeated(listings)
    return ([], [str(problem) for problem in once(problems)]) if problems else (listings, [])


def _strange(document: Table, name: str) -> Iterator[Problem]:
    """Lists that are missing, and keys beside them that nothing in them has."""
    there = document.fields.keys() & _LISTS.keys()
    if not there:
        yield Problem(name, document.line, "", "a price file has a list named entries, or plans, or both")
    known = {field for key in there or _LISTS for field in _LISTS[key].model_fields}
    for key, node in document.fields.items():
        if key not in known and key not in _LISTS:
            yield Problem(name, node.line, key, "there is no such key here")


def _entries(
    listed: Node | None,
    model: type[Dated],
    key: str,
    common: Mapping[str, Node],
    name: str,
    rank: int,
) -> tuple[list[Listing], list[Problem]]:
    if listed is None:
        return [], []
    if not isinstance(listed, Items):
        return [], [Problem(name, listed.line, key, "this is a list")]
    found: list[Listing] = []
    problems: list[Problem] = []
    for node in listed.nodes:
        if not isinstance(node, Table):
            problems.append(Problem(name, node.line, key, "an entry is a table"))
            continue
        entry, wrong = checked(model, node, name, common)
        problems += wrong
        if entry is not None:
            found.append(Listing(entry, name, node.line, rank))
    return found, _said_once(problems, listed)


def _said_once(problems: list[Problem], listed: Items) -> list[Problem]:
    """What no entry of several has is missing beside the list, and said once."""
    lacking: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.message == "is missing":
            lacking.setdefault(problem.field, []).append(problem)
    everywhere = {field for field, those in lacking.items() if len(those) == len(listed.nodes) > 1}
    rest = [each for each in problems if each.message != "is missing" or each.field not in everywhere]
    said = [
        Problem(lacking[field][0].file, listed.line, field, "is missing, beside the list or in each entry")
        for field in sorted(everywhere)
    ]
    return [*said, *rest]


def _repeated(listings: Iterable[Listing]) -> Iterator[Problem]:
    """Two prices of one thing that hold on the same day."""
    things: dict[tuple[str, ...], list[Listing]] = {}
    for listing in listings:
        things.setdefault(listing.entry.key, []).append(listing)
    for several in things.values():
        ordered = sorted(several, key=lambda one: one.entry.effective_on)
        for one, other in pairwise(ordered):
            begin, until = other.entry.effective_on, one.entry.effective_until
            if one.entry.effective_on == begin:
                first, again = sorted((one, other), key=lambda each: each.line)
                said = f"there is a price for the same thing and day in line {first.line}"
                yield Problem(again.file, again.line, "", said)
            elif until is not None and begin < until:
                said = f"it holds until {until}, but line {other.line} has a price from {begin} on"
                yield Problem(one.file, one.line, "effective_until", said)
