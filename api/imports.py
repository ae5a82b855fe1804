"""What is said of a file that was not imported, of bills and of snapshots of clusters alike."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from api.problems import ApiError

_RETRY_AFTER_S: Final = 10


def refused(what: str, problems: Sequence[str], *, is_too_large: bool) -> ApiError:
    """The file itself is at fault, `what` is one word for it. The first of its problems stands in the
    detail, all of them in `problems`."""
    more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE if is_too_large else HTTPStatus.UNPROCESSABLE_ENTITY,
        "too-large" if is_too_large else f"bad-{what}",
        f"The {what} is too large" if is_too_large else f"The {what} is wrong",
        f"{problems[0]}{more}",
        members={"problems": list(problems)},
    )


def incomplete() -> ApiError:
    """The sender has gone halfway."""
    return ApiError(HTTPStatus.BAD_REQUEST, "incomplete", "The file is incomplete", "Nothing was imported.")


def import_runs(what: str) -> ApiError:
    """Only one is imported at a time."""
    return ApiError(
        HTTPStatus.CONFLICT,
        "import-runs",
        f"A {what} is being imported",
        f"Another {what} is being imported. Wait for that one.",
        headers={"Retry-After": str(_RETRY_AFTER_S)},
    )
