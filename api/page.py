"""The front page at `/` and its style sheet. Asks analytics, hands the answers to dashboards.

`window` and `by` are in the URL, so that a page can be sent to someone. The trap: the page must come up when
the store does not, since it is where people look first; it then says so, with status 503.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from time import monotonic
from typing import Annotated, Protocol

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from analytics.answers import Basis, cost_answer, first_answers
from analytics.errors import AnalyticsError, WindowError
from analytics.grouping import By
from analytics.window import DEFAULT_WINDOW
from api.access import CallerParameter
from api.asking import WindowParameter
from api.desk import Desk
from api.pipeline import PipelineSource, PipelineState
from dashboards.front import Answers, Flow, Front, Place, render_front, stylesheet
from ingest.store.engine import Session
from ingest.store.errors import StoreError

_STYLE_LIFE_S = 3600
_LEAST_LIFE_S = 15.0
_LIFE_FOR_TIME_TAKEN = 10
"""The same page is shown again without asking for ten times as long as asking took, and 15 s at least:
reloading must not read weeks each time.
"""
_ANSWERS_KEPT = 8

_Asked = tuple[str, str, By | None]
"""Tenant, window, and what the lines of the cost table are."""


class Store(Protocol):
    """Opens sessions."""

    def session(self) -> Session:
        """A session of one's own."""


def page_router(
    store: Store,
    basis: Basis,
    pipeline: PipelineSource,
    addresses: Callable[[], Mapping[str, str]],
    desk: Desk,
    asks_who: Callable[[], bool] = lambda: False,
) -> APIRouter:
    """`/` and `/static/lowtide.css`. `addresses` has the keys of the ready line, really bound ones;
    `asks_who` says whether senders must prove who they are.
    """
    router = APIRouter(include_in_schema=False)
    answering = _Answering(store, basis, desk)

    def drawn(window: str, by: By | None, found: _Found) -> HTMLResponse:
        bound = addresses()
        page = Front(
            version=version("lowtide"),
            place=Place(window, "" if by is None else by.value),
            answers=found.answers,
            problem=found.problem,
            flow=_flow(pipeline.read()),
            zone=basis.zone,
            otlp_http=bound["otlp_http"],
            otlp_grpc=bound["otlp_grpc"],
            asks_who=asks_who(),
        )
        return HTMLResponse(render_front(page), found.status)

    @router.get("/")
    async def front(
        caller: CallerParameter,
        window: WindowParameter = DEFAULT_WINDOW,
        by: Annotated[str, Query(max_length=100, description="What the lines of the cost table are.")] = "",
    ) -> HTMLResponse:
        try:
            key = By(by) if by else None
        except ValueError:
            keys = ", ".join(By)
            wrong = _Found(0.0, None, f"{by!r} is not one of {keys}.", HTTPStatus.BAD_REQUEST)
            return await run_in_threadpool(drawn, window, None, wrong)
        found = await answering.answers((caller.tenant, window, key))
        return await run_in_threadpool(drawn, window, key, found)

    @router.get("/static/lowtide.css")
    async def style(
        v: Annotated[str, Query(max_length=64, description="The version; any gives the newest.")] = "",  # noqa: ARG001 - it is for the browser's cache
    ) -> Response:
        return Response(
            stylesheet(), media_type="text/css", headers={"Cache-Control": f"max-age={_STYLE_LIFE_S}"}
        )

    return router


@dataclass(frozen=True, slots=True)
class _Found:
    """Answers, or why there are none. `until` is of the monotonic clock."""

    until: float
    answers: Answers | None
    problem: str = ""
    status: HTTPStatus = HTTPStatus.OK


class _Answering:
    """Asks in its turn, and keeps the last few answers for some seconds."""

    def __init__(self, store: Store, basis: Basis, desk: Desk) -> None:
        self._store = store
        self._basis = basis
        self._desk = desk
        self._kept: dict[_Asked, _Found] = {}

    async def answers(self, asked: _Asked) -> _Found:
        """What the page shows; whoever asks for the same meanwhile waits for it. Raises ApiError if too many
        wait."""
        kept = self._kept.get(asked)
        if kept is None or monotonic() > kept.until:
            kept = await self._desk.ask(
                ("page", *asked), lambda: self._find(*asked), lambda found: self._keep(asked, found)
            )
        return kept

    def _keep(self, asked: _Asked, found: _Found) -> None:
        if found.answers is None:
            return
        self._kept.pop(asked, None)
        self._kept[asked] = found
        while len(self._kept) > _ANSWERS_KEPT:
            del self._kept[next(iter(self._kept))]

    def _find(self, tenant: str, window: str, by: By | None) -> _Found:
        now, begun = datetime.now(UTC), monotonic()
        try:
            with self._store.session() as session:
                found = first_answers(session, self._basis, window=window, now=now, tenant=tenant)
                if by is None:
                    costs = [found.by_application, found.by_team]
                else:
                    costs = [cost_answer(session, self._basis, by=by, window=window, now=now, tenant=tenant)]
                answers = Answers(costs, found.idle, found.recommend)
        except WindowError as error:
            return _Found(0.0, None, str(error), HTTPStatus.BAD_REQUEST)
        except (StoreError, AnalyticsError) as error:
            return _Found(0.0, None, str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        taken = monotonic() - begun
        return _Found(monotonic() + max(_LEAST_LIFE_S, _LIFE_FOR_TIME_TAKEN * taken), answers)


def _flow(state: PipelineState) -> Flow:
    problems = []
    if state.spool_failed:
        problems.append(f"Telemetry is refused, because the spool cannot be written: {state.spool_failed}")
    if state.loader_failed:
        problems.append(f"Telemetry is accepted but no longer stored: {state.loader_failed}")
    elif state.retrying:
        problems.append(
            f"Telemetry is accepted and waits, because the store does not take it: {state.retrying}"
        )
    return Flow(
        records_accepted=sum(signal.accepted for signal in state.signals),
        records_refused=sum(signal.refused for signal in state.signals),
        requests_waiting=state.requests_waiting,
        waiting_bytes=state.waiting_bytes,
        lag_s=state.lag_s,
        last_insert_at=state.last_insert_at,
        problems=problems,
    )
