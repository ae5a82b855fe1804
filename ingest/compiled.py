"""Where numba is used: turns a plain function into machine code. `collector.check.walk` calls it.

The trap: numba keeps machine code on disk, and gives up entirely when it finds no directory to write to,
when the disk is full, or when a cached file is damaged. A collector that does not start because a cache
cannot be written is worse than one that compiles for some seconds, so every such case falls back to
compiling in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import structlog
from numba import njit, types
from numba.extending import intrinsic

P = ParamSpec("P")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


def _address(_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    pointer: Any = types.CPointer
    return pointer(array.dtype)(array), generate


address_of = cast("Callable[[Any], Any]", intrinsic(_address))
"""In compiled code: where the elements of an array or of bytes begin. For arguments only, which their caller
keeps alive: an array handed to a `part` is counted up and down atomically at each call, which was two thirds
of the time of the walk; an address is not. Nothing guards a read through it."""


def part(function: Callable[P, R]) -> Callable[P, R]:
    """A function that compiled code calls; it is compiled into its caller, and only then."""
    return cast("Callable[P, R]", njit(nogil=True, forceinline=True)(function))


def routine(function: Callable[P, R]) -> Callable[P, R]:
    """As `part`, for what is too large to be put into each of its callers."""
    return cast("Callable[P, R]", njit(nogil=True)(function))


def compiled(signature: str, function: Callable[P, R]) -> Callable[P, R]:
    """Machine code for `function`, from the cache on disk if there is a usable one.

    numba looks for a writable directory in this order: NUMBA_CACHE_DIR, `__pycache__` beside the source,
    the user's cache directory. Without any the result is the same, some seconds later.
    """
    try:
        return cast("Callable[P, R]", njit(signature, nogil=True, cache=True)(function))
    except Exception as error:  # noqa: BLE001 - a damaged cache file raises almost anything
        _log.warning(
            "compiled code cannot be kept on disk, compiling in memory",
            function=function.__name__,
            error=repr(error),
        )
    return cast("Callable[P, R]", njit(signature, nogil=True)(function))
