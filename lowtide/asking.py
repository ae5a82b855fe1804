"""Gets an answer for a command: from the running server, or from the store itself if none runs.

The commands that answer call `ask` or `ask_of_window`. The trap: imported inside commands only, since
it loads the models of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import ValidationError

from analytics.documents import Answer, Document, Telling
from lowtide.errors import LowtideError
from lowtide.units import instant, share

if TYPE_CHECKING:
    from analytics.answers import Basis
    from ingest.store.engine import Session
    from lowtide.cli.invocation import Invocation
    from lowtide.settings import Settings

A = TypeVar("A", bound=Document)
T = TypeVar("T", bound=Telling)
Told_co = TypeVar("Told_co", bound=Telling, covariant=True)
TENANT = "default"
Local = Callable[["Session", "Basis", datetime], A]
"""How to answer from a session: `(session, basis, now) -> answer`."""


def ask(
    run: Invocation,
    settings: Settings,
    path: str,
    params: Mapping[str, str | None],
    model: type[A],
    local: Local[A],
) -> A:
    """The answer at `path` of the running server, else `local` over the store of the data directory. A
    parameter that is None is not sent.

    Raises ServerError, WindowError, StoreError or NoDataError.
    """
    client = run.server(settings)
    if client is None:
        return _from_store(settings, local)
    with client:
        document: Any = client.get_json(path, params)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise LowtideError(
            "The running server gives an answer this command does not understand.",
            hint="They are of different versions; restart the server.",
        ) from error


class OfWindow(Protocol[Told_co]):
    """How to answer from a session what depends on nothing but a window."""

    def __call__(
        self, session: Session, zone: tzinfo, *, window: str, now: datetime, tenant: str
    ) -> Told_co: ...


def ask_of_window(
    run: Invocation, path: str, model: type[T], how: OfWindow[T],
    *, window: str, tenant: str | None, what: str,
) -> T:  # fmt: skip
    """The answer at `path` of the running server, else what `how` makes of the store; said on stderr what it
    is about. Raises what `ask` does.
    """

    def local(session: Session, basis: Basis, now: datetime) -> T:
        return how(session, basis.zone, window=window, now=now, tenant=tenant or TENANT)

    settings = run.settings()
    answer = ask(run, settings, path, {"window": window, "tenant": tenant}, model, local)
    tell(run, settings, what, answer)
    return answer


def _from_store(settings: Settings, local: Local[A]) -> A:
    from lowtide.basis import basis_of
    from lowtide.store_access import open_store

    basis = basis_of(settings)
    with open_store(settings) as engine, engine.session() as session:
        return local(session, basis, datetime.now(UTC))


def tell(run: Invocation, settings: Settings, what: str, answer: Telling, *others: Telling) -> None:
    """Say on stderr what answers of one window are about, and what to know about them, each remark once."""
    zone = settings.time_zone
    run.note(f"{what}, {instant(answer.window.start, zone)} to {instant(answer.window.end, zone)}.")
    if isinstance(answer, Answer):
        _tell_prices(run, answer)
    for remark in dict.fromkeys(remark for one in (answer, *others) for remark in one.notes):
        run.note(f"* {remark}")
    run.note("\n")


def _tell_prices(run: Invocation, answer: Answer) -> None:
    cover = (
        ""
        if answer.coverage is None
        else f" Usage samples cover {share(answer.coverage)} of the nodes' time since their first one."
    )
    run.note(f"In {answer.currency}, from list prices of {answer.prices_retrieved_on}.{cover}")
    if answer.demo_workloads:
        run.note(f"* {answer.demo_workloads} workloads are of the demo's invented company.")
