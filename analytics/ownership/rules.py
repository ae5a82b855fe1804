"""The ownership file: ordered rules that say which team, application, environment and cost centre a workload
belongs to. `analytics.ownership.file` reads it, `apply` and `explain` use the rules.

For each of the four, the first rule counts that matches and says it; what no rule says is what the workload's
own labels and attributes say (`analytics.team_attributes`). The trap: a rule may say something by reference
(`${labels.team}`), and says nothing where that is empty, so a later one gets its turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from analytics.ownership.globs import covers
from ingest.yaml_lines import Items, Problem, Table, YamlError, checked, read_yaml

SAID: Final = ("team", "application", "environment", "cost_centre")
"""What a rule may say of a workload."""
NAMES: Final[Mapping[str, str]] = {
    "cluster": "cluster",
    "environment": "environment",
    "namespace": "namespace",
    "kind": "workload_kind",
    "workload": "workload_name",
    "service_namespace": "service_namespace",
    "service": "service_name",
    "team": "team",
    "application": "application",
}
"""What a rule may match, and the column that has it. The last two are what the workload says itself."""
MAPS: Final[Mapping[str, tuple[str, ...]]] = {
    "labels": ("k8s.pod.label.", "k8s.pod.labels."),
    "namespace_labels": ("k8s.namespace.label.", "k8s.namespace.labels."),
    "attributes": ("",),
}
"""Likewise, by key; and what is before the key in the resource attributes of OpenTelemetry: the name of its
conventions, and the one its Collector wrote before."""
_REFERENCE: Final = re.compile(r"\$\{([^}]*)\}")
_LEAST: Final = 1

Patterns = Annotated[
    tuple[Annotated[str, Field(max_length=500)], ...],
    BeforeValidator(lambda given: [given or ""] if given is None or isinstance(given, str) else given),
    Field(min_length=_LEAST, max_length=1000),
]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Match(BaseModel):
    """What a workload must be like: every name given here matches one of its patterns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: Patterns | None = None
    environment: Patterns | None = None
    namespace: Patterns | None = None
    kind: Patterns | None = None
    workload: Patterns | None = None
    service_namespace: Patterns | None = None
    service: Patterns | None = None
    team: Patterns | None = None
    application: Patterns | None = None
    labels: Mapping[Text, Patterns] = Field(default_factory=dict)
    namespace_labels: Mapping[Text, Patterns] = Field(default_factory=dict)
    attributes: Mapping[Text, Patterns] = Field(default_factory=dict)

    def conditions(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each thing that is asked of a workload, as `column_of` takes it, with its patterns."""
        for name in NAMES:
            patterns = getattr(self, name)
            if patterns is not None:
                yield name, patterns
        for name in MAPS:
            for key, patterns in getattr(self, name).items():
                yield f"{name}.{key}", patterns


class Rule(BaseModel):
    """One rule. Without `match` it holds for everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", max_length=200)
    match: Match = Field(default_factory=Match)
    team: Text | None = None
    application: Text | None = None
    environment: Text | None = None
    cost_centre: Text | None = None

    @field_validator(*SAID)
    @classmethod
    def _references_known(cls, given: str | None) -> str | None:
        for reference in references_of(given or ""):
            name, dot, key = reference.partition(".")
            if not (reference in NAMES or (name in MAPS and dot and key)):
                known = ", ".join([*NAMES, *(f"{each}.KEY" for each in MAPS)])
                raise ValueError(f"${{{reference}}} refers to nothing; there are {known}")
        if given is not None and "${" in _REFERENCE.sub("", given):
            raise ValueError("a reference is not closed: ${labels.team}")
        return given

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if not self.said():
            raise ValueError(f"a rule says at least one of {', '.join(SAID)}")
        return self

    def said(self) -> dict[str, str]:
        """What it says, as it is written."""
        return {name: text for name in SAID if (text := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule and where it stands: its number from 1, and its line."""

    rule: Rule
    number: int
    line: int

    @property
    def shown(self) -> str:
        """How messages call it."""
        return f"rule {self.rule.name or self.number} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of a file, in order; `warnings` are sentences about rules that can never say anything."""

    file: str = ""
    rules: tuple[Placed, ...] = ()
    warnings: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """What rules ask or say of labels and attributes: `labels.team`, each once."""
        asked = [
            name for placed in self.rules for name, _ in placed.rule.match.conditions() if name not in NAMES
        ]
        said = [
            reference
            for placed in self.rules
            for text in placed.rule.said().values()
            for reference in references_of(text)
            if reference not in NAMES
        ]
        return list(dict.fromkeys([*asked, *said]))


def column_of(name: str) -> str:
    """The column of a frame of workloads that has what a condition or a reference means."""
    return NAMES.get(name, name)


def references_of(text: str) -> list[str]:
    """What stands in `${...}`, in order."""
    return [found.strip() for found in _REFERENCE.findall(text)]


def pieces_of(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text, and whether each is a reference."""
    for number, part in enumerate(_REFERENCE.split(text)):
        if part:
            yield (part.strip(), True) if number % 2 else (part, False)


def parse_rules(text: str, file: str) -> tuple[Ruleset, list[Problem]]:
    """The rules of a file, or each thing that is wrong with it; then there are none."""
    try:
        document = read_yaml(text, file)
    except YamlError as error:
        return Ruleset(file), list(error.problems)
    problems: list[Problem] = []
    placed: list[Placed] = []
    for line, entry in _entries(document, file, problems):
        rule, wrong = checked(Rule, entry, file)
        problems += wrong
        if rule is not None:
            placed.append(Placed(rule, len(placed) + 1, line))
    problems += _named_twice(placed, file)
    if problems:
        return Ruleset(file), sorted(problems, key=lambda problem: problem.line)
    return Ruleset(file, tuple(placed), tuple(_unreachable(placed, file))), []


def _entries(document: Any, file: str, problems: list[Problem]) -> Iterator[tuple[int, Table]]:
    if not isinstance(document, Table) or not isinstance(document.fields.get("rules"), Items):
        problems.append(Problem(file, document.line, "rules", "an ownership file is a table with this list"))
        return
    for key, node in document.fields.items():
        if key != "rules":
            problems.append(Problem(file, node.line, key, "there is no such key here"))
    listed = document.fields["rules"]
    for node in listed.nodes if isinstance(listed, Items) else ():
        if isinstance(node, Table):
            yield node.line, node
        else:
            problems.append(Problem(file, node.line, "rules", "a rule is a table"))


def _named_twice(placed: Sequence[Placed], file: str) -> Iterator[Problem]:
    first: dict[str, Placed] = {}
    for one in placed:
        if one.rule.name and first.setdefault(one.rule.name, one) is not one:
            line = first[one.rule.name].line
            yield Problem(file, one.line, "name", f"{one.rule.name} is the name of the rule in line {line}")


def _unreachable(placed: Sequence[Placed], file: str) -> Iterator[str]:
    """Rules of which everything was said before, for whatever they match."""
    for place, later in enumerate(placed):
        for name in later.rule.said():
            if not any(_hides(earlier.rule, later.rule, name) for earlier in placed[:place]):
                break
        else:
            by = [
                earlier.shown
                for earlier in placed[:place]
                if any(_hides(earlier.rule, later.rule, name) for name in later.rule.said())
            ]
            first = ", ".join(by)
            yield f"{file}:{later.line}: {later.shown} never says anything: {first} always comes first"


def _hides(earlier: Rule, later: Rule, name: str) -> bool:
    """Whether the earlier rule surely says this of all that the later one matches."""
    text = earlier.said().get(name)
    if text is None or references_of(text):
        return False
    asked = dict(later.match.conditions())
    return all(
        condition in asked and covers(patterns, asked[condition])
        for condition, patterns in earlier.match.conditions()
    )
