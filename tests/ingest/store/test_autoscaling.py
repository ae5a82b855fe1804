"""What autoscalers want and see, by whatever name it comes."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ingest.signals import Signal
from ingest.store.engine import Session
from ingest.store.template import render
from support.kubernetes import sample, written

MINUTE_MS = int(time.time()) // 60 * 60_000 - 600_000

KNATIVE = {
    # By OpenCensus, until 1.18 of Knative, and by OpenTelemetry since 1.19: knative/docs,
    # docs/serving/observability/metrics/serving-metrics.md, before and after.
    "desired_pods": ("autoscaler_desired_pods", "kn.revision.pods.desired"),
    "requested_pods": ("autoscaler_requested_pods", "kn.revision.pods.requested"),
    "pods": ("autoscaler_actual_pods", "kn.revision.pods.count"),
    "not_ready_pods": ("autoscaler_not_ready_pods", "kn.revision.pods.not_ready.count"),
    "pending_pods": ("autoscaler_pending_pods", "kn.revision.pods.pending.count"),
    "terminating_pods": ("autoscaler_terminating_pods", "kn.revision.pods.terminating.count"),
    "excess_burst_capacity": ("autoscaler_excess_burst_capacity", "kn.revision.capacity.excess"),
    "panic_mode": ("autoscaler_panic_mode", "kn.revision.panic.mode"),
    "stable_concurrency": ("autoscaler_stable_request_concurrency", "kn.revision.concurrency.stable"),
    "panic_concurrency": ("autoscaler_panic_request_concurrency", "kn.revision.concurrency.panic"),
    "target_concurrency": ("autoscaler_target_concurrency_per_pod", "kn.revision.concurrency.target"),
    "stable_requests_per_s": ("autoscaler_stable_requests_per_second", "kn.revision.rps.stable"),
    "panic_requests_per_s": ("autoscaler_panic_requests_per_second", "kn.revision.rps.panic"),
    "target_requests_per_s": ("autoscaler_target_requests_per_second", "kn.revision.rps.target"),
    "activator_concurrency": ("activator_request_concurrency", "kn.revision.request.concurrency"),
}  # fmt: skip
OLD = {
    "namespace_name": "shop",
    "service_name": "cart",
    "configuration_name": "cart",
    "revision_name": "cart-00001",
}
NEW = {
    "k8s.namespace.name": "shop", "kn.service.name": "cart", "kn.configuration.name": "cart",
    "kn.revision.name": "cart-00001",
}  # fmt: skip
AUTOSCALER = {"job": "knative", "instance": "autoscaler:9090"}


def stored(session: Session, tenant: str) -> list[tuple[Any, ...]]:
    return session.rows(
        "SELECT autoscaler, cluster, namespace, service, name, measure, part,"
        " min(lowest), max(highest), max(last).2"
        " FROM autoscaling_1m WHERE tenant = {t:String} GROUP BY ALL ORDER BY ALL",
        {"t": tenant},
    )


def of_collector(points: list[tuple[str, float, dict[str, str]]], **resource: str) -> bytes:
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    for key, text in resource.items():
        entry.resource.attributes.add(key=key.replace("__", ".")).value.string_value = text
    metrics = entry.scope_metrics.add().metrics
    for name, value, attributes in points:
        point = metrics.add(name=name).gauge.data_points.add(
            time_unix_nano=MINUTE_MS * 1_000_000, as_double=value
        )
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


@pytest.mark.parametrize("way", ["OpenCensus", "OpenTelemetry", "OpenTelemetry through Prometheus"])
def test_knative_by_whatever_name(session: Session, tenant: str, insert: Any, way: str) -> None:
    if way == "OpenTelemetry":
        points = [(new, float(number), NEW) for number, (_, new) in enumerate(KNATIVE.values())]
        body = of_collector(points, k8s__cluster__name="fra")
    else:
        is_old = way == "OpenCensus"
        labels = OLD if is_old else {key.replace(".", "_"): text for key, text in NEW.items()}
        body = written(
            sample(
                old if is_old else new.replace(".", "_"),
                MINUTE_MS,
                float(number),
                cluster="fra",
                **labels,
                **AUTOSCALER,
            )
            for number, (old, new) in enumerate(KNATIVE.values())
        )
    insert(Signal.METRICS, body, tenant=tenant)

    assert {row[5]: row[9] for row in stored(session, tenant)} == {
        measure: float(number) for number, measure in enumerate(KNATIVE)
    }
    assert {row[:5] for row in stored(session, tenant)} == {("knative", "fra", "shop", "cart", "cart-00001")}


@pytest.mark.parametrize("way", ["OpenCensus", "OpenTelemetry", "OpenTelemetry through Prometheus"])
def test_queues_of_pods(session: Session, tenant: str, insert: Any, way: str) -> None:
    """By queue proxies: who they are is in labels, in the resource, or in the pod's name alone."""
    pods = [f"cart-00001-deployment-658fd4f9cf-{letter * 5}" for letter in "ab"]
    for number, pod in enumerate(pods):
        value = float(3 * number)
        if way == "OpenTelemetry":
            who = {key.replace(".", "__"): text for key, text in NEW.items()}
            body = of_collector([("kn.serving.queue.depth", value, {})], k8s__pod__name=pod, **who)
        elif way == "OpenCensus":
            told = sample(
                "revision_queue_depth", MINUTE_MS, value, pod_name=pod, job="q", instance=pod, **OLD
            )
            body = written([told])
        else:
            name = "kn_serving_queue_depth"
            body = written([
                sample(name, MINUTE_MS, value, pod=pod, namespace="shop", job="q", instance=pod)
            ])  # fmt: skip
        insert(Signal.METRICS, body, tenant=tenant)

    service = "" if way.endswith("Prometheus") else "cart"
    assert stored(session, tenant) == [
        ("knative", "", "shop", service, "cart-00001", "queue_depth", pod, value, value, value)
        for pod, value in zip(pods, (0.0, 3.0), strict=True)
    ]


def test_nought_is_what_was_wanted_last(session: Session, tenant: str, insert: Any) -> None:
    """The case that matters here: asleep."""
    for number, value in enumerate((3.0, 5.0, 0.0)):
        at = MINUTE_MS + number * 15_000
        for scraper in ("a", "b"):
            body = written(
                [sample("autoscaler_desired_pods", at, value, replica=scraper, **OLD, **AUTOSCALER)]
            )
            insert(Signal.METRICS, body, tenant=tenant)

    assert stored(session, tenant) == [
        ("knative", "", "shop", "cart", "cart-00001", "desired_pods", "", 0.0, 5.0, 0.0)
    ]


def test_keda(session: Session, tenant: str, insert: Any) -> None:
    """Labels as the operator writes them (kedacore/keda, pkg/metricscollector/prommetrics.go), and as a
    scraper renames them that has a namespace of its own."""
    scaler = {
        "scaledObject": "orders",
        "scaler": "kafkaScaler",
        "metric": "s0-kafka-orders",
        "triggerIndex": "0",
    }
    operator = {"job": "keda-operator", "instance": "10.0.0.9:8080"}
    renamed = {"exported_namespace": "shop", "namespace": "keda"}
    body = written([
        sample("keda_scaler_metrics_value", MINUTE_MS, 0.0, **renamed, **scaler, **operator),
        sample("keda_scaler_active", MINUTE_MS, 1.0, namespace="shop", **scaler, **operator),
        sample("keda_scaled_object_paused", MINUTE_MS, namespace="shop", scaledObject="orders", **operator),
    ])  # fmt: skip
    insert(Signal.METRICS, body, tenant=tenant)

    assert [row[:8] for row in stored(session, tenant)] == [
        ("keda", "", "shop", "", "orders", "active", "kafkaScaler/s0-kafka-orders", 1.0),
        ("keda", "", "shop", "", "orders", "metric_value", "kafkaScaler/s0-kafka-orders", 0.0),
        ("keda", "", "shop", "", "orders", "paused", "", 1.0),
    ]


def test_an_hpa_is_the_same_by_collector_and_by_kube_state_metrics(
    session: Session, tenant: str, insert: Any
) -> None:
    words = {"desired": 0.0, "current": 1.0, "min": 1.0, "max": 9.0}
    hpa = {
        "namespace": "shop",
        "horizontalpodautoscaler": "cart",
        "cluster": "fra",
        "job": "kube-state-metrics",
    }
    states = {"desired": "status", "current": "status", "min": "spec", "max": "spec"}
    insert(
        Signal.METRICS,
        of_collector(
            [(f"k8s.hpa.{word}_replicas", value, {}) for word, value in words.items()],
            k8s__hpa__name="cart", k8s__namespace__name="shop", k8s__cluster__name="fra",
        ),
        written(
            sample(
                f"kube_horizontalpodautoscaler_{states[word]}_{word}_replicas", MINUTE_MS, value, **hpa,
            )
            for word, value in words.items()
        ),
        tenant=tenant,
    )  # fmt: skip

    assert stored(session, tenant) == [
        ("hpa", "fra", "shop", "", "cart", measure, "", value, value, value)
        for measure, value in (("desired_pods", 0.0), ("max_pods", 9.0), ("min_pods", 1.0), ("pods", 1.0))
    ]


def test_who_names_nobody_is_left_out(session: Session, tenant: str, insert: Any) -> None:
    body = written([sample("autoscaler_desired_pods", MINUTE_MS, 1.0, namespace_name="shop", **AUTOSCALER)])
    insert(Signal.METRICS, body, tenant=tenant)

    assert stored(session, tenant) == []


def test_every_name_that_is_read_measures_something_of_its_own(session: Session) -> None:
    """No name of the list ends as `pods`, the last resort, but those that mean it."""
    names = re.findall(r"'([^']+)'", render("${autoscaling_metrics}", {}))
    measure = render("${autoscaling_measure}", {})
    query = f"SELECT name, {measure} FROM (SELECT arrayJoin({{names:Array(String)}}) AS name)"  # noqa: S608 - ours
    told = dict(session.rows(query, {"names": names}))
    assert {name for name, measure in told.items() if measure == "pods"} == {
        "autoscaler_actual_pods", "kn.revision.pods.count", "kn_revision_pods_count",
        "k8s.hpa.current_replicas", "k8s.hpa.pod.current",
        "kube_horizontalpodautoscaler_status_current_replicas",
    }  # fmt: skip
    assert set(told.values()) == {
        *KNATIVE, "queue_depth", "min_pods", "max_pods", "metric_value", "active", "paused",
    }  # fmt: skip


def test_the_time_is_the_points(session: Session, tenant: str, insert: Any) -> None:
    body = written([sample("autoscaler_desired_pods", MINUTE_MS + 59_999, 1.0, **OLD, **AUTOSCALER)])
    insert(Signal.METRICS, body, tenant=tenant)

    (minute, last_at) = session.rows(
        "SELECT minute, last.1 FROM autoscaling_1m WHERE tenant = {t:String}", {"t": tenant}
    )[0]
    assert minute == datetime.fromtimestamp(MINUTE_MS / 1000, UTC)
    assert round(last_at.timestamp() * 1000) == MINUTE_MS + 59_999
