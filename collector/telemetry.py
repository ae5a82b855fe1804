"""What the collector says about itself, as Prometheus metrics.

How the numbers add up, per signal, once nothing is in flight:

    items_received = items_accepted + items_refused (over all reasons)
    items_accepted = items the spool holds on disk = rows the loader stores + rows in quarantine

Items are spans, data points and log records. They are received when a request could be decoded, so a
request refused earlier (too large, broken, overloaded) is in `requests_total` by its code and in no
item counter: nobody knows what was in it. Nor is one that was received before, whose items were counted
then; `lowtide_spool_resends_total` counts those. A request that the spool refused counts its items as
refused, and once more when the sender comes back with it. `stored` is the loader's counter and lives with
the loader.
"""

from __future__ import annotations

from collections import Counter as Sums
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from collector.admission import Admission
from collector.door import Transport
from collector.replies import Kind
from ingest.signals import Signal

NO_SIGNAL = "none"
OTHER_TENANTS = "(other)"
"""A label that no tenant can have: what is counted of all that came after the first `MOST_TENANTS`."""
MOST_TENANTS = 200
SERIES = "series"
"""The reason for points of series beyond the limit."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """The collector's metrics in one registry. Two of them cannot share a registry: names would clash."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "lowtide_collector_requests",
            "Requests answered, by HTTP status or gRPC code; `cancelled` when the sender hung up.",
            ["signal", "transport", "code"],
            registry=registry,
        )
        self._wire_bytes = Counter(
            "lowtide_collector_wire_bytes",
            "Bytes of request bodies as they travelled.",
            ["signal", "transport"],
            registry=registry,
        )
        self._body_bytes = Counter(
            "lowtide_collector_body_bytes",
            "Bytes of request bodies after decompression.",
            ["signal", "transport"],
            registry=registry,
        )
        self._received = Counter(
            "lowtide_collector_items_received",
            "Spans, data points and log records in requests that could be decoded.",
            ["signal"],
            registry=registry,
        )
        self._accepted = Counter(
            "lowtide_collector_items_accepted",
            "Of the received: on disk and acknowledged.",
            ["signal"],
            registry=registry,
        )
        self._refused = Counter(
            "lowtide_collector_items_refused",
            "Of the received: refused, by reason.",
            ["signal", "reason"],
            registry=registry,
        )
        self._scrubbed = Counter(
            "lowtide_collector_attributes_scrubbed",
            "Attributes under names of secrets, by what was done: dropped or hashed.",
            ["signal", "action"],
            registry=registry,
        )
        self._seconds = Histogram(
            "lowtide_collector_request_seconds",
            "Time from a request's headers to its reply.",
            ["signal", "transport"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._turned_away = Counter(
            "lowtide_collector_refusals",
            "Requests that were not taken, by the reason.",
            ["signal", "transport", "reason"],
            registry=registry,
        )
        self._tenant_bytes = Counter(
            "lowtide_collector_tenant_bytes",
            "Bytes of requests after decompression, by tenant; the first 200, the rest as (other).",
            ["tenant"],
            registry=registry,
        )
        self._tenant_refused = Counter(
            "lowtide_collector_tenant_refusals",
            "Requests of known tenants that were not taken, or not whole (series), by the reason.",
            ["tenant", "reason"],
            registry=registry,
        )
        self._tenants: set[str] = set()
        self._registry = registry
        # Asked for several times with each request, and looking one up costs as much as counting ten.
        self._of: Callable[..., Any] = cache(_value_of)
        self._inflight = Gauge(
            "lowtide_collector_inflight_bytes",
            "Bytes of requests being received, checked or waiting for the disk.",
            registry=registry,
        )

    def watch(self, admission: Admission) -> None:
        """Read the bytes in flight from `admission` whenever metrics are collected."""
        self._inflight.set_function(lambda: admission.used_bytes)

    def watch_series(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """Ask for the series of each tenant whenever metrics are collected."""
        self._registry.register(_SeriesCounts(counts, self._label))

    def answered(
        self, signal: Signal | None, transport: Transport, code: str, seconds: float | None = None
    ) -> None:
        """Count one request; `seconds` where one was really handled."""
        self._of(self._requests, signal or NO_SIGNAL, transport, code).inc()
        if signal is not None and seconds is not None:
            self._of(self._seconds, signal, transport).observe(seconds)

    def turned_away(self, signal: Signal | None, transport: Transport, kind: Kind) -> None:
        """Count one request that was not taken; successes are not counted here."""
        if kind is not Kind.OK:
            self._of(self._turned_away, signal or NO_SIGNAL, transport, kind).inc()

    def sent(self, tenant: str, size_bytes: int) -> None:
        """Count what a tenant sent."""
        self._of(self._tenant_bytes, self._label(tenant)).inc(size_bytes)

    def tenant_refused(self, tenant: str, reason: str) -> None:
        """Count a request of a tenant that was not taken, or not whole."""
        self._of(self._tenant_refused, self._label(tenant), reason).inc()

    def _label(self, tenant: str) -> str:
        """Each label costs memory for ever, here and wherever it is scraped."""
        if tenant not in self._tenants:
            if len(self._tenants) >= MOST_TENANTS:
                return OTHER_TENANTS
            self._tenants.add(tenant)
        return tenant

    def read(self, signal: Signal, transport: Transport, wire_bytes: int) -> None:
        """Count a body that arrived."""
        self._of(self._wire_bytes, signal, transport).inc(wire_bytes)

    def decoded(self, signal: Signal, transport: Transport, body_bytes: int) -> None:
        """Count a body that could be decoded, or was received before."""
        self._of(self._body_bytes, signal, transport).inc(body_bytes)

    def checked(self, signal: Signal, items: int, rejected: int, limited: int = 0) -> None:
        """Count the items of a request that is new: those that may be stored, those that may not, and those
        of series beyond the limit.
        """
        self._of(self._received, signal).inc(items + rejected + limited)
        self.refused(signal, "check", rejected)
        self.refused(signal, SERIES, limited)

    def scrubbed(self, signal: Signal, dropped: int, hashed: int) -> None:
        """Count attributes that are not stored as they came."""
        for action, count in (("dropped", dropped), ("hashed", hashed)):
            if count:
                self._of(self._scrubbed, signal, action).inc(count)

    def accepted(self, signal: Signal, items: int) -> None:
        """Count items that are on disk."""
        self._of(self._accepted, signal).inc(items)

    def refused(self, signal: Signal, reason: str, items: int) -> None:
        """Count items that were refused; `reason` is one of few words."""
        if items:
            self._of(self._refused, signal, reason).inc(items)


def _value_of(metric: Counter | Histogram, *labels: str) -> Counter | Histogram:
    """What counts under these labels, of which there are few."""
    return metric.labels(*labels)


class _SeriesCounts(Collector):
    """The series of each tenant, asked for when somebody looks."""

    def __init__(self, counts: Callable[[], Mapping[str, int]], label: Callable[[str], str]) -> None:
        self._counts = counts
        self._label = label

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge."""
        family = GaugeMetricFamily(
            "lowtide_collector_tenant_series",
            "Series with a point in the last hour, by tenant; only while there is a limit.",
            labels=["tenant"],
        )
        sums: Sums[str] = Sums()
        for tenant, count in self._counts().items():
            sums[self._label(tenant)] += count
        for tenant, count in sums.items():
            family.add_metric([tenant], count)
        yield family
