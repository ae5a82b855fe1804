"""The HTTP status that belongs to a ClickHouse error code, as its HTTP interface gives it. Used by the
router.

The trap: clients repeat 429, 503 and 504 by themselves, so nothing permanent may get one of them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

_BAD_REQUEST: Final = frozenset({
    6, 26, 27, 36, 38, 41, 42, 43, 44, 53, 62, 70, 72, 117, 131, 167, 168, 223, 306, 321, 354, 427, 441, 456,
    457, 467, 675,
})  # fmt: skip
"""Texts that cannot be parsed, wrong types, too deep or too large, parameters that are missing or wrong."""
_NOT_FOUND: Final = frozenset({46, 47, 50, 56, 60, 63, 69, 73, 78, 81, 115, 336})
"""Functions, columns, types, tables, formats and databases that do not exist."""
_OTHERS: Final = {
    48: HTTPStatus.NOT_IMPLEMENTED,
    159: HTTPStatus.REQUEST_TIMEOUT,
    202: HTTPStatus.TOO_MANY_REQUESTS,
    209: HTTPStatus.SERVICE_UNAVAILABLE,
    210: HTTPStatus.SERVICE_UNAVAILABLE,
    412: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    439: HTTPStatus.SERVICE_UNAVAILABLE,
    497: HTTPStatus.FORBIDDEN,
    1002: HTTPStatus.SERVICE_UNAVAILABLE,
}


def http_status(code: int) -> int:
    """The status for an error code; what is not known is the server's fault, 500."""
    if code in _BAD_REQUEST:
        return HTTPStatus.BAD_REQUEST
    if code in _NOT_FOUND:
        return HTTPStatus.NOT_FOUND
    return _OTHERS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
