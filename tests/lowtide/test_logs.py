"""Everything a process says about itself: one stream, one shape, no secret."""

from __future__ import annotations

import io
import json
import logging
import warnings
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from lowtide.logs import configure_logs, redact
from lowtide.redaction import MASK, is_secret_name
from lowtide.serve.listener import ApiListener


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def started(
    level: str = "info", log_format: str = "json", *, stream: io.StringIO | None = None
) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_logs(level, log_format, stream=stream)
    return stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(message: str) -> None:
    raise ValueError(message)


def test_an_event_is_one_json_object_on_one_line() -> None:
    stream = started()

    structlog.get_logger("a.b").info("segment closed", segment=3, note="two\nlines")

    (event,) = events(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "segment closed",
        "level": "info",
        "logger": "a.b",
        "segment": 3,
        "note": "two\nlines",
    }


def test_a_logger_made_before_the_configuration_obeys_it_too() -> None:
    logger = structlog.get_logger("early")
    stream = started("warning")

    logger.info("unheard")
    logger.warning("heard")

    assert [event["event"] for event in events(stream)] == ["heard"]


def test_libraries_take_the_same_way() -> None:
    stream = started()

    logging.getLogger("uvicorn.error").warning("Exceeded %d connections", 7)
    logging.getLogger("grpc._server").error("call failed", extra={"token": "hunter2"})

    first, second = events(stream)
    assert (first["event"], first["logger"], first["level"]) == (
        "Exceeded 7 connections",
        "uvicorn.error",
        "warning",
    )
    assert (second["event"], second["logger"]) == ("call failed", "grpc._server")
    assert "hunter2" not in stream.getvalue()


def test_handlers_a_library_has_installed_are_taken_over() -> None:
    own = io.StringIO()
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(own))
    stream = started()

    logging.getLogger("uvicorn").warning("once")

    assert len(events(stream)) == 1
    assert own.getvalue() == ""


def test_there_is_no_line_for_every_request_nor_a_second_one_for_a_start() -> None:
    stream = started("debug")

    logging.getLogger("uvicorn.access").info("GET / 200")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("httpx2").info("HTTP Request")

    assert events(stream) == []


async def unused(scope: object, receive: object, send: object) -> None:
    """An application nobody asks."""


def test_a_listener_leaves_to_the_process_what_is_heard() -> None:
    stream = started("error")
    ApiListener(unused, "127.0.0.1", 0)

    logging.getLogger("uvicorn.error").warning("unheard")
    logging.getLogger("uvicorn.error").error("heard")

    assert [event["event"] for event in events(stream)] == ["heard"]


def test_configured_twice_everything_is_said_once() -> None:
    first, second = started(), started()

    structlog.get_logger("x").info("hello")

    assert events(first) == []
    assert len(events(second)) == 1


def test_warnings_are_events() -> None:
    stream = started()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    assert "DeprecationWarning: old" in events(stream)[0]["event"]


def test_context_travels_with_the_events() -> None:
    stream = started()

    with structlog.contextvars.bound_contextvars(job="compact"):
        logging.getLogger("lib").info("from a library")

    assert events(stream)[0]["job"] == "compact"


def test_a_traceback_is_text_without_variables() -> None:
    stream = started()
    api_key = "hunter2"

    try:
        fail(f"bad address http://me:{api_key}@h/")
    except ValueError:
        structlog.get_logger("x").exception("failed", attempt=1)

    (event,) = events(stream)
    assert "Traceback" in event["exception"]
    assert "bad address http://me:********@h/" in event["exception"]
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_hidden_at_any_depth(log_format: str) -> None:
    stream = started(log_format=log_format)

    structlog.get_logger("x").info(
        "asked",
        headers={"Authorization": "hunter2", "Accept": "a", "inner": [{"Set-Cookie": "hunter2"}]},
        api_key="hunter2",
        url="clickhouse://u:hunter2@h/db",
        error=ValueError("Bearer hunter2hunter2"),
        body=b"hunter2",
    )

    assert "hunter2" not in stream.getvalue()
    assert MASK in stream.getvalue()
    assert "Accept" in stream.getvalue()


NAMES = st.sampled_from(["password", "X-Api-Key", "cookie", "plain", "name", "authorization"])
TREES = st.recursive(
    st.just("hunter2"),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=12,
)


def secrets_left(value: object, below_secret: bool = False) -> int:
    """How many texts lie under a name of a secret."""
    if isinstance(value, dict):
        return sum(secrets_left(item, below_secret or is_secret_name(key)) for key, item in value.items())
    if isinstance(value, list):
        return sum(secrets_left(item, below_secret) for item in value)
    return int(below_secret and value == "hunter2")


@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_nothing_is_left_under_a_secrets_name(event: dict[str, Any]) -> None:
    before = json.dumps(event)

    redacted = redact(None, "info", event)

    assert secrets_left(redacted) == 0
    assert json.dumps(event) == before  # what the caller holds is not changed


def test_a_cycle_does_not_hang_the_log() -> None:
    stream = started()
    endless: dict[str, Any] = {}
    endless["again"] = endless

    structlog.get_logger("x").info("odd", value=endless)

    assert '"..."' in stream.getvalue()


def test_what_json_does_not_know_is_text() -> None:
    stream = started()

    structlog.get_logger("x").info("odd", value=1 + 2j)

    assert events(stream)[0]["value"] == "(1+2j)"


class TestFormat:
    def test_auto_is_json_without_a_terminal(self) -> None:
        stream = started(log_format="auto")
        structlog.get_logger("x").info("hello")

        assert events(stream)[0]["event"] == "hello"

    def test_auto_is_for_people_on_a_terminal(self) -> None:
        stream = Terminal()
        configure_logs("info", "auto", stream=stream)
        structlog.get_logger("x").info("hello", n=1)

        assert "hello" in stream.getvalue()
        assert not stream.getvalue().startswith("{")
        assert "\x1b[" in stream.getvalue()

    def test_without_colours_if_they_are_not_wanted(self) -> None:
        stream = Terminal()
        configure_logs("info", "auto", stream=stream, colours=False)
        structlog.get_logger("x").info("hello", n=1)

        assert "\x1b" not in stream.getvalue()

    def test_a_console_without_a_terminal_has_no_colours(self) -> None:
        stream = started(log_format="console")
        structlog.get_logger("x").info("hello \x1b[2J", n="a\x1b[2J")

        assert "\x1b" not in stream.getvalue()
        assert "hello \\x1b[2J" in stream.getvalue()

    def test_a_console_shows_tracebacks_without_variables(self) -> None:
        stream = started(log_format="console")
        password = "hunter2"  # noqa: S105 - must not be shown
        try:
            fail(f"http://me:{password}@h/ \x1b[2J")
        except ValueError:
            structlog.get_logger("x").exception("failed")

        assert "Traceback" in stream.getvalue()
        assert "ValueError: http://me:********@h/ \\x1b[2J\n" in stream.getvalue()
        assert "hunter2" not in stream.getvalue()
