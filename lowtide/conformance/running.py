"""Checks rules against a receiver, one after another. Called by the command.

First it is found out whether an OTLP receiver is there at all (`UnreachableError` if not). After that nothing
a receiver does ends the run: a rule that cannot be judged is an outcome. The trap: a fault in a check of ours
is one of those outcomes too, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.signals import Signal
from lowtide.conformance.errors import UnreachableError
from lowtide.conformance.grpc_wire import Code, GrpcReply
from lowtide.conformance.http_wire import HttpReply
from lowtide.conformance.judging import told
from lowtide.conformance.rule import Finding, Result, Rule, Transport, unjudged
from lowtide.conformance.session import NOT_FOR_US, OVERLOADED, Clouded, Session
from lowtide.conformance.target import Target


@dataclass(frozen=True, slots=True)
class Run:
    """What became of all rules. `gone` says where and why the receiver stopped answering; mostly empty."""

    target: Target
    signal: Signal
    results: tuple[Result, ...]
    gone: tuple[str, ...]

    @property
    def breaches(self) -> int:
        """Rules that must be kept and are not."""
        return sum(result.is_breach for result in self.results)


async def run(target: Target, rules: Sequence[Rule], progress: Callable[[Result], None] | None = None) -> Run:
    """Check the rules. Raises UnreachableError if there is nothing to check, TargetError for a bad `ca`."""
    signal = Signal.TRACES
    transports = {rule.transport for rule in rules}
    if Transport.HTTP in transports:
        signal = await _first_http(target)
    if Transport.GRPC in transports and target.grpc is not None:
        found = await _first_grpc(target)
        signal = signal if Transport.HTTP in transports else found
    results: list[Result] = []
    async with Session(target, signal) as session:
        for rule in rules:
            if rule.transport is Transport.GRPC and not session.has_grpc:
                continue
            finding = await _check(rule, session)
            results.append(Result(rule, finding.outcome, finding.observed))
            if progress is not None:
                progress(results[-1])
        gone = tuple(f"{transport.value}: {why}" for transport, why in session.gone.items())
    return Run(target, signal, tuple(results), gone)


async def _check(rule: Rule, session: Session) -> Finding:
    try:
        return await rule.probe(session)
    except Clouded as clouded:
        return unjudged(str(clouded))
    except Exception as error:  # noqa: BLE001 - whatever a receiver sends, the other rules are still checked
        return unjudged(f"the check itself failed, please report it: {type(error).__name__}: {error}")


_ORDER = (Signal.TRACES, Signal.LOGS, Signal.METRICS)


async def _first_http(target: Target) -> Signal:
    """The first signal that is received over HTTP. Raises UnreachableError if none is."""
    replies: list[HttpReply] = []
    async with Session(target) as session:
        for signal in _ORDER:
            reply = await session.send_http(session.plain(session.about(signal)))
            if reply.problem:
                raise UnreachableError(
                    f"{target.http}: {reply.problem}.",
                    hint="Is the receiver running, and is this its OTLP/HTTP address (often port 4318)?",
                )
            if reply.status == 200:
                return signal
            replies.append(reply)
    return _judgeable(target, replies)


def _judgeable(target: Target, replies: Sequence[HttpReply]) -> Signal:
    """A signal that is answered as a receiver would answer, though not with success."""
    for reply, signal in zip(replies, _ORDER, strict=True):
        if reply.status not in OVERLOADED | NOT_FOR_US | {404, 405} and reply.status >= 200:
            return signal
    said = told(replies[0])
    if any(reply.status in NOT_FOR_US for reply in replies):
        hint = "It wants credentials: give them with --header, for example 'Authorization=Bearer ...'."
    elif any(reply.status in OVERLOADED for reply in replies):
        hint = "It takes no telemetry at the moment. Try again when it does."
    else:
        hint = "There is no OTLP receiver below this address; give the one to which /v1/traces is added."
    raise UnreachableError(f"{target.http} takes no signal: {said}.", hint=hint)


async def _first_grpc(target: Target) -> Signal:
    """The first signal that is received over gRPC. Raises UnreachableError if nothing speaks gRPC there."""
    first: GrpcReply | None = None
    async with Session(target) as session:
        for signal in _ORDER:
            reply = (await session.call_grpc(session.plain_call(session.about(signal))))[-1]
            first = first or reply
            if reply.code is Code.OK:
                return signal
            if reply.problem or reply.code is None:
                break
            if reply.code not in {
                Code.UNIMPLEMENTED,
                Code.UNAVAILABLE,
                Code.UNAUTHENTICATED,
                Code.PERMISSION_DENIED,
            }:
                return signal
    if reply.problem or reply.code is None:
        hint = "Is this its OTLP/gRPC address (often port 4317)? With TLS it is written https://HOST:PORT."
    elif reply.code is Code.UNIMPLEMENTED:
        hint = "There is no OTLP receiver at this address."
    elif reply.code is Code.UNAVAILABLE:
        hint = "It takes no telemetry at the moment. Try again when it does."
    else:
        hint = "It wants credentials: give them with --header, for example 'Authorization=Bearer ...'."
    raise UnreachableError(f"{target.grpc_address} (gRPC) takes no signal: {first}.", hint=hint)
