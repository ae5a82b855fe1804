"""Puts the API together: routers, errors, and what every request passes. `lowtide.serve.parts` makes it once.

The trap: order matters among the layers; the security headers must be outermost, so that refusals carry
them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware

from api.access import Access, Keeper, OpenKeeper
from api.guard import BodyLimit, HeadAsGet, HostGuard, SecurityHeaders, known_parameters
from api.problems import install
from api.settings import ApiSettings

_DESCRIPTION = (
    "What every application costs, what sits idle, and what can sleep. Errors are problem details (RFC 9457)."
)


@dataclass(frozen=True, slots=True)
class Routers:
    """What the API is made of. `strict` refuse query parameters they do not declare, `open` read them
    themselves."""

    strict: Sequence[APIRouter]
    open: Sequence[APIRouter] = ()


def create_app(
    settings: ApiSettings, routers: Routers, *, loopback_only: bool, keeper: Keeper | None = None
) -> FastAPI:
    """The application. `loopback_only`: it listens on loopback, so no other name for this machine is
    answered to. `keeper` knows who may ask what; without one everybody may ask everything."""
    app = FastAPI(
        title="Lowtide",
        version=version("lowtide"),
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json" if settings.docs else None,
        # The pages that draw it load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HostGuard, loopback_only=loopback_only),
            Middleware(Access, keeper=keeper or OpenKeeper(), loopback_only=loopback_only),
            Middleware(
                BodyLimit,
                limit_bytes=settings.max_body_bytes,
                larger={
                    "/api/v1/bills": (settings.max_bill_bytes, "api.max_bill_bytes"),
                    "/api/v1/import/kubernetes": (settings.max_snapshot_bytes, "api.max_snapshot_bytes"),
                },
            ),
            Middleware(HeadAsGet),
        ],
    )
    install(app)
    for router in routers.strict:
        app.include_router(router, dependencies=[Depends(known_parameters)])
    for router in routers.open:
        app.include_router(router)
    return app
