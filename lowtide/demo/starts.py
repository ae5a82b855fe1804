"""What is told about pods that start: Kubernetes events, kube-state-metrics' times, and the application's own
line.

Used by the player, once per slice. The parts of a start - scheduling, image pull, sidecar, application -
can be read from the events; creation and readiness from the metrics. The trap: a pod belongs to the slice
it became ready in.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ingest.signals import Signal
from lowtide.demo.arrivals import DAY_NS
from lowtide.demo.estate import Estate
from lowtide.demo.fleet import Fleet
from lowtide.demo.manifest import Manifest
from lowtide.demo.packing import Request
from lowtide.demo.resources import DEMO_MARK, Resources
from lowtide.demo.wire import Plain, any_value, attributes
from lowtide.demo.workloads import Unit

PODS_PER_REQUEST = 200
EVENTS_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/k8seventsreceiver"
STATE_SCOPE = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"
STARTED = {
    "java": "Started {name} in {init:.3f} seconds (process running for {whole:.3f})",
    "nodejs": "{name} listening on :8080 after {init:.3f} s",
    "python": "Application startup complete in {init:.3f} s",
    "go": "serving on :8080, ready after {init:.3f} s",
}


class StartWriter:
    """Events, times and start lines of pods."""

    def __init__(self, estate: Estate, fleet: Fleet, resources: Resources, manifest: Manifest) -> None:
        self.estate = estate
        self.resources = resources
        self.manifest = manifest
        self.pods = sorted(fleet.pods, key=lambda pod: (pod.ready_ns, pod.index))

    def write(self, start_ns: int, end_ns: int) -> Iterator[Request]:
        """Everything about pods that became ready in [start, end)."""
        chosen = [pod for pod in self.pods if start_ns <= pod.ready_ns < end_ns]
        for day in sorted({pod.ready_ns // DAY_NS for pod in chosen}):
            of_day = [pod for pod in chosen if pod.ready_ns // DAY_NS == day]
            for at in range(0, len(of_day), PODS_PER_REQUEST):
                some = of_day[at : at + PODS_PER_REQUEST]
                yield self._logs(some)
                yield self._times(some)

    def _logs(self, pods: list[Unit]) -> Request:
        request = ExportLogsServiceRequest()
        for pod in pods:
            records = self._events(pod)
            group = request.resource_logs.add()
            group.CopyFrom(self._event_source(pod))
            group.scope_logs.add(log_records=records).scope.name = EVENTS_SCOPE
            self.manifest.logs(pod.workload.key, len(records))
            line = self._started(pod)
            if line is not None:
                own = request.resource_logs.add()
                own.ParseFromString(self.resources.of_unit(pod))
                own.scope_logs.add(log_records=[line]).scope.name = "papercrane"
                self.manifest.logs(pod.workload.key, 1)
        items = sum(len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs)
        return Request(Signal.LOGS, request.SerializeToString(), items, max(pod.ready_ns for pod in pods))

    def _event_source(self, pod: Unit) -> ResourceLogs:
        assert pod.node is not None  # noqa: S101 - pods are placed before anything is written
        values: dict[str, Plain] = {
            "k8s.cluster.name": pod.node.cluster,
            "k8s.node.name": pod.node.name,
            "k8s.object.kind": "Pod",
            "k8s.object.name": pod.name,
            "k8s.object.uid": pod.uid,
            "k8s.object.api_version": "v1",
            "service.name": "k8s-events",
            DEMO_MARK: "true",
        }
        return ResourceLogs(resource=Resource(attributes=attributes(values)))

    def _events(self, pod: Unit) -> list[LogRecord]:
        parts = pod.start
        assert parts is not None and pod.node is not None  # noqa: S101, PT018 - every pod has both
        scheduled = parts.schedule_s
        pulled = scheduled + parts.pull_s
        image = f"registry.papercrane.example/{pod.workload.name}:{pod.version}"
        told = [
            (
                scheduled * 0.4,
                "Scheduled",
                f"Successfully assigned {pod.workload.namespace}/{pod.name} to {pod.node.name}",
            ),
            (scheduled, "Pulling", f'Pulling image "{image}"'),
            (pulled, "Pulled", f'Successfully pulled image "{image}" in {parts.pull_s:.3f}s'),
        ]
        if parts.sidecar_s:
            told += [
                (pulled, "Created", "Created container: istio-proxy"),
                (pulled + 0.05, "Started", "Started container istio-proxy"),
            ]
        begun = pulled + parts.sidecar_s
        told += [
            (begun, "Created", f"Created container: {pod.workload.name}"),
            (begun + 0.05, "Started", f"Started container {pod.workload.name}"),
        ]
        return [self._event(pod, after_s, reason, message) for after_s, reason, message in told]

    def _event(self, pod: Unit, after_s: float, reason: str, message: str) -> LogRecord:
        at = pod.created_ns + int(after_s * 1e9)
        values: dict[str, Plain] = {
            "k8s.event.reason": reason,
            "k8s.event.name": f"{pod.name}.{at // 1000:x}",
            "k8s.event.start_time": datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="milliseconds"),
            "k8s.event.count": 1,
            "k8s.namespace.name": pod.workload.namespace,
        }
        return LogRecord(
            time_unix_nano=at,
            observed_time_unix_nano=at + 200_000_000,
            severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
            severity_text="Normal",
            body=any_value(message),
            attributes=attributes(values),
        )

    def _started(self, pod: Unit) -> LogRecord | None:
        text = STARTED.get(pod.workload.language)
        if text is None or pod.start is None:
            return None
        body = text.format(name=pod.workload.name, init=pod.start.init_s, whole=pod.start.init_s + 0.4)
        return LogRecord(
            time_unix_nano=pod.ready_ns,
            observed_time_unix_nano=pod.ready_ns + 1_000_000,
            severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
            severity_text="INFO",
            body=any_value(body),
            attributes=attributes({"logger": "startup", "startup.duration_s": pod.start.init_s}),
        )

    def _times(self, pods: list[Unit]) -> Request:
        request = ExportMetricsServiceRequest()
        for cluster in sorted({pod.node.cluster for pod in pods if pod.node is not None}):
            mine = [pod for pod in pods if pod.node is not None and pod.node.cluster == cluster]
            request.resource_metrics.append(self._times_of(cluster, mine))
        items = sum(
            len(metric.gauge.data_points)
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        )
        return Request(Signal.METRICS, request.SerializeToString(), items, max(pod.ready_ns for pod in pods))

    def _times_of(self, cluster: str, pods: list[Unit]) -> ResourceMetrics:
        values: dict[str, Plain] = {
            "k8s.cluster.name": cluster,
            "service.name": "kube-state-metrics",
            DEMO_MARK: "true",
        }
        group = ResourceMetrics(resource=Resource(attributes=attributes(values)))
        scope = group.scope_metrics.add()
        scope.scope.name = STATE_SCOPE
        metrics = {
            name: scope.metrics.add(name=name, unit="s")
            for name in (
                "kube_pod_created",
                "kube_pod_status_scheduled_time",
                "kube_pod_container_state_started",
                "kube_pod_status_ready_time",
            )
        }
        for pod in pods:
            assert pod.start is not None and pod.node is not None  # noqa: S101, PT018 - every pod has both
            labels: dict[str, Plain] = {"namespace": pod.workload.namespace, "pod": pod.name, "uid": pod.uid}
            begun = pod.start.schedule_s + pod.start.pull_s + pod.start.sidecar_s
            for name, after_s, more in (
                ("kube_pod_created", 0.0, {"node": pod.node.name}),
                ("kube_pod_status_scheduled_time", pod.start.schedule_s * 0.4, {}),
                ("kube_pod_container_state_started", begun, {"container": pod.workload.name}),
                ("kube_pod_status_ready_time", pod.start.total_s, {}),
            ):
                point = metrics[name].gauge.data_points.add(time_unix_nano=pod.ready_ns)
                point.as_double = round(pod.created_ns / 1e9 + after_s, 3)
                point.attributes.extend(attributes({**labels, **more}))
            self.manifest.points(pod.workload.key, 4)
        return group
