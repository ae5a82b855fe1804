"""docs/api.md against the API as `lowtide serve` puts it together, and its examples against a running one."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from ingest.store.target import Embedded
from lowtide.serve.api_app import api_app
from lowtide.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
USUAL = "http://127.0.0.1:8686"
CLUSTER = Path(__file__).parents[1] / "ingest" / "inventory" / "data" / "k3s_lists.json"
BILL = Path(__file__).parents[1] / "ingest" / "bills" / "data" / "focus_1_2_aws.csv"


@dataclass(frozen=True, slots=True)
class Documented:
    """A section of the page."""

    method: str
    path: str
    command: str
    example: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def sections() -> Iterator[Documented]:
    for part in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        method, path = part.splitlines()[0].strip("`").split()
        blocks = re.findall(r"^```(\w*)\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)
        command = next((text for kind, text in blocks if kind == ""), "")
        yield Documented(
            method, path, command.strip(), next((text for kind, text in blocks if kind == "json"), "")
        )


SECTIONS = list(sections())


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The API over parts that nobody asks."""
    parts: Any = SimpleNamespace(
        settings=Settings(), registry=CollectorRegistry(), state=None, demo=None, snapshots=None, tokens=None,
        engine=SimpleNamespace(target=Embedded(Path("/nowhere"), "lowtide"), is_embedded=True),
    )  # fmt: skip
    return api_app(parts)


@pytest.fixture(scope="module")
def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of everything that is answered."""
    found = set()
    for route in _flat(app.routes):
        found |= {(method, route.path) for method in (route.methods or set()) - {"HEAD"}}
    return found


def _flat(routes: Any) -> Iterator[Route]:
    for route in routes:
        if isinstance(route, Route):
            yield route
        else:
            yield from _flat(route.original_router.routes)


def test_every_route_is_documented_and_nothing_else(routes: set[tuple[str, str]]) -> None:
    documented = [(section.method, section.path) for section in SECTIONS]

    assert len(documented) == len(set(documented))
    assert set(documented) == routes


def test_every_operation_has_a_name_for_programs(app: FastAPI) -> None:
    """A generated client calls its methods by these."""
    names = [
        operation["operationId"] for path in app.openapi()["paths"].values() for operation in path.values()
    ]

    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]*)+", name) for name in names), names


@pytest.mark.process
@pytest.mark.parametrize("section", [one for one in SECTIONS if one.command], ids=str)
def test_examples_are_answered(served: Any, section: Documented) -> None:
    """Each command of the page works, and its answer has the shape that the page shows."""
    method, url, body = _curl(section.command)
    assert method == section.method
    assert url.partition("?")[0].rstrip("/") == section.path.rstrip("/")

    response = served.http.request(method, served.wait_ready()["api"] + url, content=body)

    assert response.status_code == 200, response.text
    if section.example:
        assert _shape(json.loads(section.example), response.json()) == []


def _curl(command: str) -> tuple[str, str, str | bytes | None]:
    """Method, path with query, and body of a curl command; a file of the page is a recorded one."""
    words = shlex.split(command)
    assert words.pop(0) == "curl"
    method: str = "GET"
    body: str | bytes | None = None
    while len(words) > 1:
        flag = words.pop(0)
        if flag == "-X":
            method = words.pop(0)
        elif flag == "--data-binary":
            file = CLUSTER if words.pop(0) == "@cluster.json" else BILL
            method, body = "POST", file.read_bytes()
        else:
            assert flag == "-d"
            method, body = "POST", words.pop(0)
    assert words[0].startswith(USUAL)
    return method, words[0].removeprefix(USUAL), body


def _shape(shown: Any, real: Any, at: str = "") -> list[str]:
    """Where the keys of the two differ; lists are compared by their first elements, if both have one."""
    if isinstance(shown, dict) and isinstance(real, dict):
        if at in {".rows", ".thresholds"}:  # keyed by names: those shown must be there
            return [f"{at}.{key}" for key in shown.keys() - real.keys()]
        wrong = [f"{at}.{key}" for key in shown.keys() ^ real.keys()]
        return wrong + [
            each
            for key in shown.keys() & real.keys()
            for each in _shape(shown[key], real[key], f"{at}.{key}")
        ]
    if isinstance(shown, list) and isinstance(real, list):
        return _shape(shown[0], real[0], f"{at}[]") if shown and real else []
    return []
