"""Where numba is used: turns a plain function into machine code. `collector.check.walk` calls it.

The traps: numba keeps machine code on disk, and gives up entirely when it finds no directory to write to,
when the disk is full, or when a cached file is damaged. A collector that does not start because a cache
cannot be written is worse than one that compiles for some seconds, so every such case falls back to
compiling in memory. And numba goes by the content of the function's own file, while `part`s and `routine`s of
other files are compiled into it: what is kept would do as they did before they were changed. Here it goes by
all files of the function's folder and of this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import structlog
from numba import njit, types
from numba.core import caching, config
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


class _ByFolder:
    """For the locators of numba: what is kept is good as long as no file has changed where the function
    is, nor here."""

    _py_file: str

    def get_source_stamp(self) -> str:
        """A digest of their names and contents."""
        digest = hashlib.sha256()
        for folder in (Path(__file__).parent, Path(self._py_file).parent):
            for source in sorted(folder.glob("*.py")):
                content = source.read_bytes()
                digest.update(f"{source.name}\0{len(content)}\0".encode())
                digest.update(content)
        return digest.hexdigest()


class GivenDirectory(_ByFolder, caching.UserProvidedCacheLocator):
    """The directory that NUMBA_CACHE_DIR names."""


class BesideSource(_ByFolder, caching.InTreeCacheLocator):
    """`__pycache__` beside the source."""


class OfUser(_ByFolder, caching.UserWideCacheLocator):
    """The cache directory of the user."""


_config: Any = config
_config.CACHE_LOCATOR_CLASSES = ",".join(
    f"{__name__}.{locator.__name__}" for locator in (GivenDirectory, BesideSource, OfUser)
)


def compiled(signature: str, function: Callable[P, R]) -> Callable[P, R]:
    """Machine code for `function`, from the cache on disk if there is a usable one.

    A writable directory is looked for in this order: NUMBA_CACHE_DIR, `__pycache__` beside the source, the
    user's cache directory. Without any the result is the same, some seconds later.
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
