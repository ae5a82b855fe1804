"""All rules in the order in which they are checked, and the choice among them. Read by the command.

Ids are names that others may put into scripts and tickets: once published, they stay. The trap: the last
rules look at what was seen while the others ran, so they stay last.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from lowtide.conformance import grpc_rules, http_failure_rules, http_rules, json_rules
from lowtide.conformance.errors import TargetError
from lowtide.conformance.rule import Rule

RULES: tuple[Rule, ...] = (
    *http_rules.RULES,
    *json_rules.RULES,
    *http_failure_rules.RULES,
    *grpc_rules.RULES,
    *http_rules.LAST,
)


def chosen(patterns: Sequence[str] = (), *, large: bool = False) -> list[Rule]:
    """The rules that match a pattern, all if there is none; large ones only with `large` or by their full id.

    A pattern is an id, the beginning of one up to a dot (`http.json`), or has `*` in it. Raises TargetError
    for one that matches nothing.
    """
    for pattern in patterns:
        if not any(_matches(rule, pattern) for rule in RULES):
            raise TargetError(f"No rule is called {pattern}.", hint="See `lowtide conformance list`.")
    return [
        rule
        for rule in RULES
        if (not patterns or any(_matches(rule, pattern) for pattern in patterns))
        and (large or not rule.large or rule.id in patterns)
    ]


def _matches(rule: Rule, pattern: str) -> bool:
    return fnmatchcase(rule.id, pattern) or rule.id.startswith(f"{pattern}.")
