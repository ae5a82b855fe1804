"""Makes the API over the running parts: which routers there are, and what each is given. Called by the
parts."""

from __future__ import annotations

from typing import Protocol

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.answers import answers_router
from api.app import Routers, create_app
from api.bills import bills_router
from api.cold_starts import cold_starts_router
from api.demo import demo_router
from api.desk import Desk
from api.health import health_router
from api.inventory import inventory_router
from api.mesh import mesh_router
from api.page import page_router
from api.pipeline import PipelineState, pipeline_router
from api.snapshots import Snapshots, snapshots_router
from api.sql.router import sql_router
from api.sql.telemetry import REGISTRY as SQL_REGISTRY
from api.telemetry import REGISTRY as API_REGISTRY
from ingest.loader.loader import Loader
from ingest.store.engine import Engine
from lowtide.basis import basis_of
from lowtide.serve.bills import StoreBills
from lowtide.serve.doors import api_keeper
from lowtide.serve.inventory import StoreInventory
from lowtide.serve.lifecycle import Addresses, Phase
from lowtide.serve.own_demo import OwnDemo
from lowtide.serve.readiness import ReadinessReader, StoreProbe
from lowtide.settings import Settings, is_loopback
from lowtide.tokens.live import LiveTokens


class Running(Protocol):
    """What the API needs of the server. Its parts are asked for only once they are open."""

    settings: Settings
    registry: CollectorRegistry
    phase: Phase
    demo: OwnDemo

    @property
    def engine(self) -> Engine:
        """The open store."""

    @property
    def loader(self) -> Loader:
        """The running loader."""

    @property
    def tokens(self) -> LiveTokens:
        """Who may do what."""

    @property
    def snapshots(self) -> Snapshots:
        """Holds the data directory for a backup."""

    def state(self) -> PipelineState:
        """Where telemetry stands."""

    def addresses(self) -> Addresses:
        """Where everything listens."""


class _State:
    """The pipeline as routers see it."""

    def __init__(self, parts: Running) -> None:
        self._parts = parts

    def read(self) -> PipelineState:
        return self._parts.state()


def api_app(parts: Running) -> FastAPI:
    """The application. Raises PriceBookError if a price file is wrong."""
    settings = parts.settings
    basis = basis_of(settings)
    state = _State(parts)
    desk = Desk()
    readiness = ReadinessReader(lambda: parts.phase, StoreProbe(parts.engine, settings.serve.store_answer_s))
    routers = Routers(
        strict=[
            health_router(readiness, state, [parts.registry, SQL_REGISTRY, API_REGISTRY]),
            pipeline_router(state),
            answers_router(parts.engine, basis, desk),
            mesh_router(parts.engine, basis, desk),
            cold_starts_router(parts.engine, basis, desk),
            demo_router(parts.engine, parts.demo),
            snapshots_router(parts.snapshots),
            bills_router(StoreBills(parts), parts.engine, basis, desk),
            inventory_router(StoreInventory(parts), parts.engine, desk),
            page_router(
                parts.engine,
                basis,
                state,
                lambda: parts.addresses().as_record(),
                desk,
                lambda: parts.tokens.are_asked_for,
            ),
        ],
        open=[sql_router(parts.engine, settings.api.sql)] if settings.api.sql.enabled else [],
    )
    return create_app(
        settings.api,
        routers,
        loopback_only=is_loopback(settings.listen),
        keeper=api_keeper(parts.tokens, settings.tls),
    )
