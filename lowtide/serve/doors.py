"""Puts the tokens to the doors: OTLP's and the API's. Made by `lowtide.serve.parts` and
`lowtide.serve.api_app`.

Neither `collector` nor `api` knows what a token is; both ask here, for each request.
"""

from __future__ import annotations

from typing import Final

from api.access import Caller, Need, NotAllowedError, UndecidedCallerError, UnknownCallerError
from collector.door import Arrival, bearer_of
from collector.door import Caller as Sender
from collector.refusals import ForbiddenError, UnauthenticatedError, UndecidedError
from ingest.signals import Signal
from lowtide.tokens.errors import TokenFileError, UnknownTokenError
from lowtide.tokens.live import LiveTokens
from lowtide.tokens.token import Scope

_WRITES: Final = {
    Signal.TRACES: Scope.WRITE_TRACES,
    Signal.METRICS: Scope.WRITE_METRICS,
    Signal.LOGS: Scope.WRITE_LOGS,
}


class OtlpDoor:
    """`collector.door.Door` by tokens."""

    def __init__(self, tokens: LiveTokens) -> None:
        self._tokens = tokens

    def admit(self, arrival: Arrival) -> Sender:
        """Raises UnauthenticatedError, ForbiddenError or UndecidedError, worded for the sender."""
        try:
            holder = self._tokens.holder(bearer_of(arrival.headers))
        except UnknownTokenError as error:
            raise UnauthenticatedError(
                "a valid token is needed, as `authorization: Bearer lt_...` (OTEL_EXPORTER_OTLP_HEADERS)"
            ) from error
        except TokenFileError as error:
            raise UndecidedError("tokens cannot be checked now; send this request again later") from error
        needed = _WRITES[arrival.signal]
        if needed not in holder.scopes:
            raise ForbiddenError(f"this token may not send {arrival.signal}: it has no scope {needed}")
        return Sender(tenant=holder.tenant)


class ApiKeeper:
    """`api.access.Keeper` by tokens."""

    def __init__(self, tokens: LiveTokens) -> None:
        self._tokens = tokens

    def admit(self, token: str | None, need: Need) -> Caller:
        """Raises UnknownCallerError, NotAllowedError or UndecidedCallerError."""
        try:
            holder = self._tokens.holder(token)
        except UnknownTokenError as error:
            raise UnknownCallerError from error
        except TokenFileError as error:
            raise UndecidedCallerError from error
        if Scope(need.value) not in holder.scopes:
            raise NotAllowedError
        return Caller(holder.tenant, sees_all=holder.is_owner)
