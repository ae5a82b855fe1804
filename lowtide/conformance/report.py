"""Writes the rules and what became of them: as Markdown for the documentation, for people, for programs.

Called by the command. What a receiver said is somebody else's text: it is shortened, and printed with control
characters escaped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from lowtide.conformance.rule import Level, Outcome, Result, Rule, Transport
from lowtide.conformance.running import Run
from lowtide.output import Column, Output, Unit, printable, render

_TALLIES = (
    ("passed", "Passed", Outcome.PASS),
    ("failed", "Failed", Outcome.FAIL),
    ("not_supported", "Not supported", Outcome.UNSUPPORTED),
    ("not_judged", "Not judged", Outcome.UNJUDGED),
)
_RULE_COLUMNS = [
    Column("id", "Rule"),
    Column("level", "Level"),
    Column("section", "Section"),
    Column("sent", "Sent"),
    Column("expected", "Expected"),
]
_HEAD = """\
# The rules of the conformance suite

Written by `lowtide conformance list --output markdown`; [conformance.md](conformance.md) explains it.
Sections are those of the OTLP specification unless another document is named. Rules marked * send a small
body that unfolds to 128 MiB, and are checked with `--large` only.
"""


def write_rules(rules: Iterable[Rule], output: Output) -> None:
    """The rules themselves to stdout."""
    render(rules, _RULE_COLUMNS, output)


def markdown(rules: Sequence[Rule]) -> Iterator[str]:
    """The page docs/conformance-rules.md, line by line."""
    yield from _HEAD.splitlines()
    for transport, title in ((Transport.HTTP, "OTLP/HTTP"), (Transport.GRPC, "OTLP/gRPC")):
        yield from (
            "",
            f"## {title}",
            "",
            "| rule | level | section | sent | expected |",
            "|---|---|---|---|---|",
        )
        for rule in rules:
            if rule.transport is transport:
                name = f"`{rule.id}`{'*' if rule.large else ''}"
                yield f"| {name} | {rule.level.value} | {rule.section} | {rule.sent} | {rule.expected} |"


def tallies(results: Sequence[Result]) -> list[dict[str, Any]]:
    """By level: how many rules had which outcome."""
    rows = []
    for level in Level:
        counted = Counter(result.outcome for result in results if result.rule.level is level)
        rows.append({"level": level.value} | {name: counted[outcome] for name, _, outcome in _TALLIES})
    return rows


def write_people(run: Run, stream: TextIO) -> None:
    """Every rule with its outcome, what failed with all that is known, and the score."""
    rows = [
        {"id": each.rule.id, "level": each.rule.level, "outcome": each.outcome, "observed": each.observed}
        for each in run.results
    ]
    titles = [("id", "Rule"), ("level", "Level"), ("outcome", "Outcome"), ("observed", "Observed")]
    render(rows, [Column(name, title) for name, title in titles], file=stream)
    failures = [result for result in run.results if result.outcome is Outcome.FAIL]
    if failures:
        stream.write("\nFailed\n")
    stream.writelines(f"{line}\n" for failure in failures for line in _told(failure))
    stream.write("\n")
    columns = [Column(name, title, Unit.NUMBER, places=0) for name, title, _ in _TALLIES]
    render(tallies(run.results), [Column("level", "Level"), *columns], file=stream)


def _told(result: Result) -> Iterator[str]:
    rule = result.rule
    yield ""
    yield f"{rule.id} ({rule.level.value}; {rule.section})"
    for title, text in (("sent", rule.sent), ("expected", rule.expected), ("observed", result.observed)):
        yield f"  {title:<9} {printable(text)}"


def write_json(run: Run, stream: TextIO) -> None:
    """One document: the receiver, the score, every rule with its outcome."""
    document = {
        "http": run.target.http,
        "grpc": run.target.grpc_address,
        "signal": run.signal.value,
        "breaches": run.breaches,
        "gone": list(run.gone),
        "summary": tallies(run.results),
        "results": [
            {
                "id": result.rule.id,
                "level": result.rule.level.value,
                "section": result.rule.section,
                "sent": result.rule.sent,
                "expected": result.rule.expected,
                "outcome": result.outcome.value,
                "observed": result.observed,
            }
            for result in run.results
        ],
    }
    json.dump(document, stream, ensure_ascii=False, indent=2)
    stream.write("\n")
