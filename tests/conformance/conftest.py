"""Runs rules of the suite against a receiver of the tests' own.

judge(fault, *ids)   the results of the rules against a receiver with that fault, by id
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from lowtide.conformance.catalogue import chosen
from lowtide.conformance.rule import Result
from lowtide.conformance.running import run
from lowtide.conformance.target import target
from support.otlp_receiver import Fault, Receiver, right

Judge = Callable[..., Awaitable[dict[str, Result]]]


@pytest.fixture
def judge() -> Judge:
    async def judged(fault: Fault, *ids: str, timeout_s: float = 20.0) -> dict[str, Result]:
        async with Receiver(fault) as receiver:
            there = target(receiver.http, grpc=receiver.grpc, timeout_s=timeout_s)
            done = await run(there, chosen(ids, large=True))
        return {result.rule.id: result for result in done.results}

    return judged


@pytest.fixture
def good() -> Fault:
    return right
