"""The answer on how services take part: reads, and puts together what `analytics.service_access` finds.

The trap: spans are read of the last day of the window only; what names services and SDKs are is the same in
every hour, and a week of spans takes long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta, tzinfo
from typing import Final

from analytics.access_documents import AccessMode, Runtime, Scope, ServiceAccess, ServiceAccessAnswer
from analytics.mesh import about
from analytics.queries import Session, read, read_range
from analytics.service_access import Service, service_access
from analytics.settings import AnalyticsSettings
from analytics.window import Window, parse_window
from ingest.counted import counted

SPANS: Final = timedelta(days=1)


def service_access_answer(
    session: Session, settings: AnalyticsSettings, zone: tzinfo, *, window: str, now: datetime, tenant: str
) -> ServiceAccessAnswer:
    """How every service took part in the window. Raises WindowError, and what the session raises."""
    span = parse_window(window, now)
    since = max(span.start, span.end - SPANS)
    found = service_access(
        read(session, "service_resources", tenant, start=span.start, end=span.end),
        read_range(session, "service_scopes", tenant, since, span.end),
        read_range(session, "service_proxies", tenant, span.start, span.end),
        read_range(session, "service_peers", tenant, since, span.end),
        settings.sidecar_containers,
    )
    return ServiceAccessAnswer(
        **about(span, zone, _notes(span, since, found)), rows=tuple(_row(service) for service in found)
    )


def _row(service: Service) -> ServiceAccess:
    described = sorted(service.described)
    return ServiceAccess(
        service_namespace=service.namespace,
        service=service.name,
        modes=tuple(AccessMode(mode=mode, evidence=tuple(why)) for mode, why in service.modes()),
        languages=tuple(sorted({one.language for one in described if one.language})),
        described=tuple(Runtime(**asdict(one)) for one in described),
        scopes=tuple(Scope(name=name, version=version) for name, version in sorted(service.scopes)),
    )


def _notes(span: Window, since: datetime, found: list[Service]) -> Iterator[str]:
    if since > span.start:
        yield "Scopes and names that only callers know are those of the window's last day."
    silent = sum(not any(service.modes()) for service in found)
    if silent:
        yield f"Nothing is known of how telemetry is sent of {counted(silent, 'service')}."
