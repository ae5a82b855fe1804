"""Cold starts of functions as metrics: how many, and how long their init took, hour by hour.

Used by the player after each slice. Names are those of the FaaS semantic conventions. The trap: histograms
here are deltas, each over its own hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ingest.signals import Signal
from lowtide.demo.arrivals import DAY_NS
from lowtide.demo.estate import Estate
from lowtide.demo.manifest import Manifest
from lowtide.demo.packing import Request
from lowtide.demo.resources import DEMO_MARK
from lowtide.demo.wire import Floats, Integers, Plain, attributes

HOUR_NS = 3600 * 1_000_000_000
BOUNDS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)


class ColdStartMetrics:
    """Collects cold starts and writes them per function and hour."""

    def __init__(self, estate: Estate, manifest: Manifest) -> None:
        self.estate = estate
        self.manifest = manifest
        self._seen: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def saw(self, key: str, starts_ns: Integers, lasting_ms: Floats) -> None:
        """Cold starts of a function."""
        self._seen[key] += zip(starts_ns.tolist(), (lasting_ms / 1000.0).tolist(), strict=True)

    def write(self, begin_ns: int, end_ns: int) -> Iterator[Request]:
        """Everything seen so far, a request a day; a point covers its hour as far as that lies in [begin,
        end)."""
        by_day: dict[int, dict[str, dict[int, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for key, seen in sorted(self._seen.items()):
            for start_ns, lasting_s in seen:
                by_day[start_ns // DAY_NS][key][start_ns // HOUR_NS].append(lasting_s)
        self._seen.clear()
        for day in sorted(by_day):
            request = ExportMetricsServiceRequest()
            last = 0
            for key, hours in sorted(by_day[day].items()):
                last = max(last, self._function(request, key, hours, begin_ns, end_ns))
            items = 2 * sum(len(hours) for hours in by_day[day].values())
            yield Request(Signal.METRICS, request.SerializeToString(), items, last)

    def _function(
        self,
        request: ExportMetricsServiceRequest,
        key: str,
        hours: dict[int, list[float]],
        begin_ns: int,
        end_ns: int,
    ) -> int:
        service = self.estate.services[key]
        values: dict[str, Plain] = {
            "service.name": key,
            "faas.name": key,
            "cloud.provider": "aws",
            "cloud.platform": "aws_lambda",
            "cloud.region": self.estate.clusters[service.cluster].region,
            "deployment.environment.name": service.environment,
            DEMO_MARK: "true",
        }
        if service.app is not None:
            values |= {"application": service.app, "team": self.estate.applications[service.app].team}
        group = request.resource_metrics.add(resource=Resource(attributes=attributes(values)))
        scope = group.scope_metrics.add()
        scope.scope.name = "papercrane.functions"
        lasting = scope.metrics.add(name="faas.init_duration", unit="s")
        lasting.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        count = scope.metrics.add(name="faas.coldstarts", unit="{coldstart}")
        count.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        count.sum.is_monotonic = True
        last = 0
        for hour, seconds in sorted(hours.items()):
            start = max(hour * HOUR_NS, begin_ns)
            end = max(start + 1, min((hour + 1) * HOUR_NS, end_ns))
            last = max(last, end)
            buckets = np.bincount(np.searchsorted(BOUNDS_S, seconds), minlength=len(BOUNDS_S) + 1)
            lasting.histogram.data_points.add(
                start_time_unix_nano=start, time_unix_nano=end, count=len(seconds), sum=sum(seconds),
                bucket_counts=buckets.tolist(), explicit_bounds=BOUNDS_S, min=min(seconds), max=max(seconds),
            )  # fmt: skip
            count.sum.data_points.add(start_time_unix_nano=start, time_unix_nano=end, as_int=len(seconds))
        self.manifest.points(key, 2 * len(hours))
        return last
