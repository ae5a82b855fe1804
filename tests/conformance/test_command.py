"""`lowtide conformance`: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from lowtide.cli.app import run
from lowtide.conformance.catalogue import RULES
from support.otlp_receiver import Answer, Asked, Fault, Receiver, failure, right

DOCS = Path(__file__).parents[2] / "docs"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def lowtide(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Runs `lowtide conformance ARGUMENTS` in this process, away from the machine's own settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def command(*arguments: str) -> Ran:
        code = run(["conformance", *arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return command


@contextmanager
def serving(fault: Fault = right) -> Iterator[Receiver]:
    """A receiver in a thread of its own: the command has an event loop of its own."""
    loop = asyncio.new_event_loop()
    receiver = Receiver(fault)
    loop.run_until_complete(receiver.__aenter__())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield receiver
    finally:
        asyncio.run_coroutine_threadsafe(receiver.die(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def breaks_a_should(asked: Asked, answer: Answer) -> Answer:
    return failure(400, "no", "application/json") if asked.body == b"{}" else answer


def breaks_a_must(asked: Asked, answer: Answer) -> Answer:
    return failure(500, "oh \x1b[31mred") if asked.encoding == "gzip" else answer


def test_all_is_well(lowtide: Callable[..., Ran]) -> None:
    with serving() as receiver:
        ran = lowtide("otlp", receiver.http, "--grpc", receiver.grpc)

    assert (ran.code, ran.err) == (0, "")
    assert "Failed\n" not in ran.out.replace("Passed  Failed", "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["Rule", "Level", "Outcome", "Observed"]
    assert [line.split()[0] for line in lines[-4:]] == ["Level", "MUST", "SHOULD", "MAY"]
    assert len(lines) == 1 + sum(not rule.large for rule in RULES) + 1 + 4


def test_a_must_that_failed(lowtide: Callable[..., Ran]) -> None:
    with serving(breaks_a_must) as receiver:
        ran = lowtide("otlp", receiver.http, "--only", "http.gzip.protobuf", "--only", "http.bad")

    assert ran.code == 1
    assert ran.err == "gRPC was not checked; give its address with --grpc.\n"
    told = ran.out.split("\nFailed\n")[1].splitlines()
    assert told[1:5] == [
        "http.gzip.protobuf (MUST; Protocol Details)",
        "  sent      one record, protobuf, Content-Encoding: gzip",
        "  expected  200",
        "  observed  500, application/x-protobuf, 15 bytes: oh \\x1b[31mred",
    ]
    assert "\x1b" not in ran.out


def test_a_should_that_failed_is_no_error(lowtide: Callable[..., Ran]) -> None:
    with serving(breaks_a_should) as receiver:
        ran = lowtide("otlp", receiver.http, "--only", "http.empty")

    assert ran.code == 0
    assert "http.empty.json (SHOULD; " in ran.out


def test_json(lowtide: Callable[..., Ran]) -> None:
    with serving(breaks_a_must) as receiver:
        ran = lowtide(
            "otlp",
            receiver.http,
            "--grpc",
            receiver.grpc,
            "--json",
            "--header",
            "authorization=Bearer hunter2",
        )

    written = json.loads(ran.out)
    assert (written["http"], written["grpc"], written["signal"]) == (receiver.http, receiver.grpc, "traces")
    assert written["breaches"] == len(
        [r for r in written["results"] if (r["level"], r["outcome"]) == ("MUST", "fail")]
    )
    assert written["breaches"] > 0
    assert [row["level"] for row in written["summary"]] == ["MUST", "SHOULD", "MAY"]
    assert sum(sum(n for n in row.values() if isinstance(n, int)) for row in written["summary"]) == len(
        written["results"]
    )
    assert set(written["results"][0]) == {"id", "level", "section", "sent", "expected", "outcome", "observed"}
    assert "hunter2" not in ran.out + ran.err


def test_large_rules_are_checked_if_asked_for(lowtide: Callable[..., Ran]) -> None:
    with serving() as receiver:
        ran = lowtide("otlp", receiver.http, "--only", "http.limit*", "--large", "--json")

    results = json.loads(ran.out)["results"]
    assert [(r["id"], r["outcome"]) for r in results] == [
        ("http.limit", "pass"),
        ("http.limit.status", "pass"),
    ]


def test_nobody_is_there(lowtide: Callable[..., Ran]) -> None:
    with serving() as receiver:
        pass
    ran = lowtide("otlp", receiver.http)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: {receiver.http}: no connection")
    assert "Hint: Is the receiver running" in ran.err


def test_it_went_away(lowtide: Callable[..., Ran]) -> None:
    seen: list[Asked] = []

    def leaves(asked: Asked, answer: Answer) -> Answer:
        seen.append(asked)
        return Answer(hang_up=True) if len(seen) > 2 else answer

    with serving(leaves) as receiver:
        ran = lowtide(
            "otlp", receiver.http, "--quiet", "--only", "http.traces", "--only", "http.bad.protobuf"
        )
        again = lowtide("otlp", receiver.http)

    assert ran.code == 2
    assert "not judged" in ran.out
    assert again.code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["127.0.0.1:4318"],
        ["http://127.0.0.1:4318", "--only", "http.nothing"],
        ["http://127.0.0.1:4318", "--header", "nothing"],
        ["http://127.0.0.1:4318", "--grpc", "x:y"],
        ["http://127.0.0.1:4318", "--timeout", "0"],
        [],
    ],
)
def test_wrong_usage(lowtide: Callable[..., Ran], arguments: list[str]) -> None:
    ran = lowtide("otlp", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err


def test_the_list(lowtide: Callable[..., Ran]) -> None:
    table = lowtide("list")
    written = json.loads(lowtide("list", "--output", "json", "--only", "grpc").out)

    assert table.code == 0
    assert [line.split()[0] for line in table.out.splitlines()[1:]] == [rule.id for rule in RULES]
    assert [row["id"] for row in written] == [rule.id for rule in RULES if rule.id.startswith("grpc.")]


def test_the_page_of_the_rules_is_up_to_date(lowtide: Callable[..., Ran]) -> None:
    """Write it anew with: make docs"""
    page = (DOCS / "conformance-rules.md").read_text(encoding="utf-8")

    assert page == lowtide("list", "--output", "markdown").out
    assert all(page.count(f"| `{rule.id}`") == 1 for rule in RULES)
