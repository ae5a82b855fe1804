"""Puts tokens and client certificates to the doors: OTLP's and the API's. Made by `lowtide.serve.parts` and
`lowtide.serve.api_app`.

Neither `collector` nor `api` knows what a token is; both ask here, for each request.

The traps are in what counts if both are shown (ADR 12). A token decides, and if it is none that is valid, no
certificate makes up for it. A certificate that is in the table beside it must be of the same tenant: two
answers to who somebody is are none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from api.access import Caller, Need, NotAllowedError, UndecidedCallerError, UnknownCallerError
from collector.door import Arrival, bearer_of
from collector.door import Caller as Sender
from collector.refusals import ForbiddenError, UnauthenticatedError, UndecidedError
from collector.tls.certificate import Certificate
from ingest.signals import Signal
from lowtide.tls.clients import Clients
from lowtide.tls.settings import Demand, TlsSettings
from lowtide.tokens.errors import TokenFileError, UnknownTokenError
from lowtide.tokens.live import Holder, LiveTokens
from lowtide.tokens.token import Scope

_WRITES: Final = {
    Signal.TRACES: Scope.WRITE_TRACES,
    Signal.METRICS: Scope.WRITE_METRICS,
    Signal.LOGS: Scope.WRITE_LOGS,
}


class NoCertificateError(Exception):
    """A client certificate must be shown here, and none that is valid was."""


class TwoTenantsError(Exception):
    """The token is of one tenant, the certificate of another."""


def _clock() -> datetime:
    return datetime.now(UTC)


class Doorkeeper:
    """Who is there, by token or by certificate. `demand`: whether a certificate must be shown; the owner of
    the data directory needs none.
    """

    def __init__(
        self, tokens: LiveTokens, clients: Clients, demand: Demand, now: Callable[[], datetime] = _clock
    ) -> None:
        self._tokens = tokens
        self._clients = clients
        self._is_demanded = demand is Demand.REQUIRED
        self._now = now

    def holder(self, token: str | None, certificate: Certificate | None) -> Holder:
        """Who it is. `token` is None only if nothing was shown as one.

        Raises UnknownTokenError, TokenFileError, NoCertificateError or TwoTenantsError.
        """
        if certificate is not None and not certificate.is_valid(self._now()):
            certificate = None  # its connection has outlived it
        by_certificate = None if certificate is None else self._clients.holder(certificate)
        if token is None and by_certificate is not None:
            return by_certificate
        if token is None and certificate is None and self._is_demanded:
            raise NoCertificateError
        holder = self._tokens.holder(token)
        if holder.is_owner:
            return holder
        if self._is_demanded and certificate is None:
            raise NoCertificateError
        if by_certificate is not None and by_certificate.tenant != holder.tenant:
            raise TwoTenantsError
        return holder


def otlp_door(tokens: LiveTokens, tls: TlsSettings) -> OtlpDoor:
    """The door of OTLP."""
    return OtlpDoor(Doorkeeper(tokens, Clients(tls.clients), tls.client_certificates))


def api_keeper(tokens: LiveTokens, tls: TlsSettings) -> ApiKeeper:
    """The keeper of the API."""
    return ApiKeeper(Doorkeeper(tokens, Clients(tls.clients), tls.api_client_certificates))


class OtlpDoor:
    """`collector.door.Door` by tokens and certificates."""

    def __init__(self, keeper: Doorkeeper) -> None:
        self._keeper = keeper

    def admit(self, arrival: Arrival) -> Sender:
        """Raises UnauthenticatedError, ForbiddenError or UndecidedError, worded for the sender."""
        # Whatever the header says, it was meant to prove something.
        shown = bearer_of(arrival.headers) or "" if "authorization" in arrival.headers else None
        try:
            holder = self._keeper.holder(shown, arrival.certificate)
        except UnknownTokenError as error:
            raise UnauthenticatedError(
                "a valid token is needed, as `authorization: Bearer lt_...` (OTEL_EXPORTER_OTLP_HEADERS)"
                + (f"; {_NO_ENTRY}" if arrival.certificate is not None and shown is None else "")
            ) from error
        except TokenFileError as error:
            raise UndecidedError("tokens cannot be checked now; send this request again later") from error
        except NoCertificateError as error:
            raise UnauthenticatedError(_CERTIFICATE_NEEDED) from error
        except TwoTenantsError as error:
            raise ForbiddenError(_TWO_TENANTS) from error
        needed = _WRITES[arrival.signal]
        if needed not in holder.scopes:
            what = "this certificate" if shown is None else "this token"
            raise ForbiddenError(f"{what} may not send {arrival.signal}: it has no scope {needed}")
        return Sender(tenant=holder.tenant)


class ApiKeeper:
    """`api.access.Keeper` by tokens and certificates."""

    def __init__(self, keeper: Doorkeeper) -> None:
        self._keeper = keeper

    def admit(self, token: str | None, need: Need, certificate: object | None) -> Caller:
        """Raises UnknownCallerError, NotAllowedError or UndecidedCallerError."""
        known = certificate if isinstance(certificate, Certificate) else None
        try:
            holder = self._keeper.holder(token, known)
        except UnknownTokenError as error:
            reason = _NO_ENTRY if token is None and known is not None else ""
            raise UnknownCallerError(reason) from error
        except TokenFileError as error:
            raise UndecidedCallerError from error
        except NoCertificateError as error:
            raise UnknownCallerError(_CERTIFICATE_NEEDED) from error
        except TwoTenantsError as error:
            raise UnknownCallerError(_TWO_TENANTS) from error
        if Scope(need.value) not in holder.scopes:
            raise NotAllowedError
        return Caller(holder.tenant, sees_all=holder.is_owner)


_NO_ENTRY: Final = "the client certificate that was shown has no entry in tls.clients, or several"
_CERTIFICATE_NEEDED: Final = "a client certificate that is still valid must be shown here"
_TWO_TENANTS: Final = "the token and the client certificate are of two tenants; show one of them"
