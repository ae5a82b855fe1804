"""Configures logging for a process: ours (structlog) and the libraries' (logging) in one stream on stderr.

Called once by commands that run for long (`serve`, `demo`); short commands speak through
`lowtide.output.note`. stdout stays free for data. The trap: uvicorn installs handlers of its own unless it
is given `log_config=None`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import TextIO

import structlog
from structlog.typing import Processor

from lowtide.output import printable
from lowtide.redaction import MASK, hide_in_text, is_secret_name

_MAX_DEPTH = 8
"""Deeper values are cut: no event of ours is deeper, and a cycle must not hang the log."""

QUIET_LOGGERS: Mapping[str, int] = {
    # Starts and stops are told by the lifecycle.
    "uvicorn.error": logging.WARNING,
    # One line for every request or connection is what metrics are for.
    "uvicorn.access": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "asyncio": logging.WARNING,
    # Compiler chatter, thousands of lines at debug.
    "numba": logging.WARNING,
}


def configure_logs(
    level: str, log_format: str, *, stream: TextIO | None = None, colours: bool = True
) -> None:
    """Send every event of this process to `stream` (stderr), from `level` up, as "json" or "console".

    "auto" is console on a terminal and json elsewhere. `colours` concerns a console on a terminal only. May
    be called again; the last call counts.
    """
    out = sys.stderr if stream is None else stream
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_writing(console=console, colours=colours and out.isatty()),
            ],
        )
    )
    _take_over(handler, logging.getLevelName(level.upper()))


def _writing(*, console: bool, colours: bool) -> list[Processor]:
    """The last steps. Tracebacks become text before secrets are hidden, and carry no local variables."""
    hide: list[Processor] = [structlog.processors.format_exc_info, redact]
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback
        )
        return [*hide, _escape_control, renderer]
    return [*hide, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]


def _take_over(handler: logging.Handler, level: int) -> None:
    """Make the root logger the only one with a handler, so that libraries' events take the same way."""
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "grpc"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name, least in QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.captureWarnings(capture=True)


def redact(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A structlog processor: hides values under names of secrets, and secrets inside texts, at any depth."""
    return {key: MASK if is_secret_name(key) else _hidden(value, _MAX_DEPTH) for key, value in event.items()}


def _hidden(value: object, depth: int) -> object:
    if isinstance(value, str):
        return hide_in_text(value)
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        return {
            key: MASK if is_secret_name(str(key)) else _hidden(item, depth - 1) for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_hidden(item, depth - 1) for item in value]
    if isinstance(value, BaseException):
        return hide_in_text(f"{type(value).__name__}: {value}")
    return value


def _escape_control(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Texts may come from telemetry; on a terminal they must not move the cursor."""
    return {key: _printable_lines(value) if isinstance(value, str) else value for key, value in event.items()}


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
