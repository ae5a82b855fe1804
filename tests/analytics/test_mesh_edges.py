"""Edges from the metrics of meshes: every call counted once, as the recorded proxies counted it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from analytics.mesh import told_edges
from analytics.mesh_edges import MEASURES, NAMES, SCHEMA, counted_once, edges
from analytics.window import Window
from ingest.signals import Signal
from ingest.store.engine import Session
from support.exposition import Sample, samples, scraped

DATA = Path(__file__).parent / "data" / "mesh"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
HOUR = timedelta(hours=1)
Scrape = Callable[..., None]


@pytest.fixture
def scrape(telemetry: Any) -> Scrape:
    """`scrape(minute, samples, **labels)`: what a Prometheus sends of a scrape in that minute of the hour."""

    def run(minute: float, found: list[Sample], **target: str) -> None:
        labels = {"job": "kubernetes-pods", "instance": "10.0.0.1:15020", **target}
        at_ms = round((START + timedelta(minutes=minute)).timestamp() * 1000)
        telemetry.body(Signal.METRICS, scraped(found, at_ms, **labels))

    return run


@pytest.fixture
def found(session: Session, telemetry: Any, tenant: str) -> Callable[[], list[dict[str, Any]]]:
    """The edges of the hour, without what is nought or empty."""

    def read() -> list[dict[str, Any]]:
        telemetry.store()
        told = told_edges(session, tenant, Window(START, START + HOUR))
        return [
            {key: value for key, value in row.items() if value and key != "zones"}
            for row in edges(counted_once(told)).to_dicts()
        ]

    return read


def times(found: list[Sample], factor: float, **changed: str) -> list[Sample]:
    """The samples with values this many times as large, and some other labels."""
    return [(name, {**labels, **changed}, value * factor) for name, labels, value in found]


def test_envoys_own_count_of_what_it_was_asked(scrape: Scrape, found: Any) -> None:
    """Thirteen requests, eight after the first scrape; answers of a class appear with their first one."""
    for minute, record in ((0, "envoy_1.prom"), (1, "envoy_2.prom"), (2, "envoy_2.prom")):
        scrape(minute, samples(DATA / record), namespace="shop", pod="gateway-7f4669bdd9-dg7vn")

    asked, reviews, down = found()

    assert (asked["destination_workload"], asked["destination_namespace"]) == ("gateway", "shop")
    assert (asked["requests"], asked["errors"], asked["connections"]) == (8, 3, 8)
    assert (asked["request_bytes"], asked["response_bytes"]) == (1180 - 430, 1822 - 645)
    assert asked["duration_ms"] == pytest.approx(357.11, abs=0.01)
    assert (reviews["source_workload"], reviews["destination_service"]) == ("gateway", "reviews")
    assert (reviews["requests"], reviews["errors"]) == (5 + 2, 2)
    assert reviews["classes"] == [{"name": "2xx", "calls": 5.0}, {"name": "5xx", "calls": 2.0}]
    assert (down["destination_service"], down["requests"], down["errors"]) == ("down", 1, 1)


def test_of_istios_two_ends_the_destination_counts(scrape: Scrape, found: Any) -> None:
    record = samples(DATA / "istio.prom")
    for minute in range(3):
        scrape(minute, times(record, 1 + minute))
        caller = times(record, 1 + minute * 1.5, reporter="source")
        scrape(minute, caller, instance="10.0.0.2:15020")

    (edge,) = found()

    assert (edge["source_workload"], edge["destination_workload"]) == ("productpage-v1", "details-v1")
    assert (edge["destination_service"], edge["protocol"]) == ("details.default.svc.cluster.local", "http")
    assert (edge["requests"], edge["told_by"]) == (72, ["destination"])
    assert (edge["mutual_tls"], edge["known_security"], edge["proxies"]) == (72, 72, ["sidecar"])


def test_without_a_proxy_at_the_destination_the_caller_counts(scrape: Scrape, found: Any) -> None:
    record = times(samples(DATA / "istio.prom"), 1, reporter="source", connection_security_policy="unknown")
    broken = times(record, 1, response_code="503", response_flags="UO")
    for minute in range(3):
        scrape(minute, [*times(record, minute), *times(broken, minute / 36)])

    (edge,) = found()

    assert (edge["requests"], edge["errors"], edge["told_by"]) == (74, 2, ["source"])
    assert edge["flags"] == [{"name": "UO", "calls": 2.0}]
    assert "known_security" not in edge


@pytest.mark.parametrize(
    ("status", "is_error"),
    [
        ({"grpc_response_status": "0"}, False),
        ({"grpc_response_status": "5"}, False),  # NOT_FOUND: the caller's
        ({"grpc_response_status": "14"}, True),
        ({"grpc_status": "0", "classification": "success"}, False),
        ({"grpc_status": "2", "classification": "failure"}, True),
        ({"grpc_status": "Unknown error", "classification": "failure"}, True),  # before linkerd2-proxy#2480
        ({"grpc_status": "", "classification": "failure"}, False),
        ({"grpc_response_status": "14", "response_code": "503"}, True),
    ],
)
def test_errors_of_grpc(scrape: Scrape, found: Any, status: dict[str, str], is_error: bool) -> None:
    record = times(samples(DATA / "istio.prom"), 1, request_protocol="grpc", **status)
    for minute in range(3):
        scrape(minute, times(record, minute))

    (edge,) = found()

    assert (edge["requests"], edge.get("errors", 0)) == (72, 72 if is_error else 0)
    (answers,) = edge["classes"]
    code = status.get("response_code", "200")
    assert answers["name"] == ("grpc_error" if is_error and code == "200" else f"{code[0]}xx")


def test_a_waypoint_counts_before_the_caller(scrape: Scrape, found: Any) -> None:
    record = samples(DATA / "istio.prom")
    for minute in range(2):
        scrape(minute, times(record, minute, reporter="waypoint"), instance="10.0.0.3:15020")
        scrape(minute, times(record, minute * 2, reporter="source"), instance="10.0.0.2:15020")

    (edge,) = found()

    assert (edge["requests"], edge["proxies"]) == (36, ["waypoint"])


def test_a_ztunnel_tells_connections_and_bytes_only(scrape: Scrape, found: Any) -> None:
    record = samples(DATA / "ztunnel.prom")
    for minute in range(2):
        scrape(minute, times(record, 1 + minute), app="ztunnel")

    reviews, ratings = found()

    assert (reviews["connections"], ratings["connections"]) == (270, 52)
    assert (ratings["request_bytes"], ratings["response_bytes"]) == (48510, 65268)
    assert (ratings["proxies"], ratings["mutual_tls"], ratings["protocol"]) == (["ztunnel"], 52, "tcp")
    assert "requests" not in reviews


def test_linkerds_callers_and_who_is_not_in_the_mesh(scrape: Scrape, found: Any) -> None:
    caller = samples(DATA / "linkerd.prom")
    server = [
        ("response_total", {"direction": "inbound", "tls": tls, "status_code": "503"}, value)
        for tls, value in (("true", 72.0), ("no_identity", 5.0))
    ]
    for minute in range(2):
        scrape(minute, times(caller, minute), namespace="playground", deployment="client")
        scrape(
            minute, times(server, minute), namespace="playground", instance="10.0.0.9:4191",
            deployment="playground-server-http-primary",
        )  # fmt: skip

    primary, canary, stranger = found()

    assert (primary["source_workload"], primary["destination_workload"], primary["requests"]) == (
        "client", "playground-server-http-primary", 65,
    )  # fmt: skip
    assert (canary["requests"], canary["errors"], canary["mutual_tls"]) == (7, 7, 7)
    assert "source_workload" not in stranger
    assert (stranger["requests"], stranger["known_security"], "mutual_tls" in stranger) == (5, 5, False)


def test_polaris_tells_the_last_thirty_seconds(scrape: Scrape, found: Any) -> None:
    labels = {"callee_namespace": "shop", "callee_service": "stock", "caller_service": "cart"}
    for quarter, value in enumerate((3.0, 3.0, 5.0, 5.0)):
        scrape(quarter / 4, [("upstream_rq_total", labels, value)])

    (edge,) = found()

    assert (edge["source_workload"], edge["destination_service"], edge["requests"]) == ("cart", "stock", 8)


QUEUE = {
    "configuration_name": "event-display", "container_name": "queue-proxy",
    "namespace_name": "apiserversource1", "pod_name": "event-display-00001-deployment-658fd4f9cf-qcnr5",
    "response_code": "200", "response_code_class": "2xx", "revision_name": "event-display-00001",
    "service_name": "event-display",
}  # fmt: skip
"""The example in docs.openshift.com/serverless/1.33, "Serverless developer metrics": what each of Knative's
services exposes on port 9091."""
QUEUE_RESOURCE = {
    "container.name": "queue-proxy", "k8s.namespace.name": "apiserversource1",
    "k8s.pod.name": QUEUE["pod_name"], "service.name": "event-display", "service.version": "1.20",
    "service.instance.id": QUEUE["pod_name"], "kn.service.name": "event-display",
    "kn.configuration.name": "event-display", "kn.revision.name": "event-display-00001",
}  # fmt: skip
"""Attributes as knative.dev/v1.20-docs, "Knative Serving Metrics", names them."""
AUTOSCALER = ("autoscaler_desired_pods", {k: QUEUE[k] for k in ("revision_name", "namespace_name")}, 1.0)
DISPLAY = {
    "mesh": "knative", "destination_namespace": "apiserversource1", "protocol": "http",
    "destination_workload": "event-display-00001-deployment", "destination_service": "event-display",
    "proxies": ["queue-proxy"], "told_by": ["destination"],
}  # fmt: skip


def test_what_knatives_queue_proxies_were_asked(scrape: Scrape, found: Any) -> None:
    for minute in range(3):
        answers: list[Sample] = [
            ("revision_request_count", QUEUE, 10.0 * minute),
            ("revision_request_latencies_sum", QUEUE, 250.0 * minute),
            ("revision_request_latencies_bucket", {**QUEUE, "le": "5"}, 10.0 * minute),
            ("revision_app_request_count", QUEUE, 10.0 * minute),
            (
                "revision_request_count",
                {**QUEUE, "response_code": "502", "response_code_class": "5xx"},
                minute,
            ),
        ]
        scrape(minute, answers, namespace="apiserversource1", pod=QUEUE["pod_name"])

    (edge,) = found()

    assert {key: edge[key] for key in DISPLAY} == DISPLAY
    assert (edge["requests"], edge["errors"], edge["duration_ms"]) == (22, 2, 500)
    assert "source_workload" not in edge


def test_the_same_as_opentelemetry_names_it(scrape: Scrape, found: Any) -> None:
    """Scraped, when labels may say no revision, and who is asked is known by the pod."""
    for minute in range(3):
        answers: list[Sample] = [
            (f"kn_serving_invocation_duration_seconds_{name}", {"http_response_status_code": "503"}, value)
            for name, value in (("count", 10.0 * minute), ("sum", 0.25 * minute), ("bucket", 7.0 * minute))
        ]
        scrape(minute, answers, namespace="apiserversource1", pod=QUEUE["pod_name"])

    (edge,) = found()

    assert (edge["destination_namespace"], edge["destination_workload"]) == (
        "apiserversource1", "event-display-00001-deployment",
    )  # fmt: skip
    assert (edge["requests"], edge["errors"], edge["duration_ms"]) == (20, 20, 500)


def test_the_same_by_otlp(telemetry: Any, found: Any) -> None:
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    for key, text in QUEUE_RESOURCE.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    metric = entry.scope_metrics.add().metrics.add(name="kn.serving.invocation.duration", unit="s")
    metric.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for minute in range(3):
        at_ns = round((START + timedelta(minutes=minute)).timestamp()) * 10**9
        point = metric.histogram.data_points.add(time_unix_nano=at_ns, count=4 * minute, sum=minute * 0.25)
        point.attributes.add(key="http.response.status_code").value.int_value = 200
    telemetry.body(Signal.METRICS, request.SerializeToString())

    (edge,) = found()

    assert {key: edge[key] for key in DISPLAY} == DISPLAY
    assert (edge["requests"], edge["duration_ms"], edge.get("errors")) == (8, 500, None)


@pytest.mark.parametrize(("heard_from", "requests"), [(0, 3), (27, 2), (None, None)])
def test_a_pod_that_was_woken_for_a_request(
    scrape: Scrape, found: Any, heard_from: int | None, requests: int | None
) -> None:
    """Its counters are new with it, and never seen at nought. The pods wake at 30 and 36; where all that is
    scraped is new, their counters may be old."""
    if heard_from is not None:
        for minute in range(heard_from, 40, 3):
            scrape(minute, [AUTOSCALER], instance="autoscaler:9090", job="autoscaler")
    for number, minute in enumerate((30, 36)):
        pod = f"event-display-00001-deployment-658fd4f9cf-{number:05}"
        answer = [("revision_request_count", {**QUEUE, "pod_name": pod}, 1.0 + number)]
        scrape(minute, answer, instance=f"10.0.0.{number}:9091")

    assert [row.get("requests") for row in found()] == [requests]


@pytest.mark.parametrize(("cluster", "other", "requests"), [
    ("", "", 4), ("fra", "", 4), ("fra", "fra", 4), ("fra", "ams", 4 + 7),
])  # fmt: skip
def test_a_queue_proxy_behind_a_meshs_proxy_counts_nothing_again(
    cluster: str, other: str, requests: float
) -> None:
    to = {"destination_namespace": "shop", "destination_workload": "web-00001-deployment"}
    istio = told(mesh="istio", source_workload="gateway", requests=4.0, proxy_cluster=cluster, **to)
    queue = told(mesh="knative", proxy="queue-proxy", requests=7.0, proxy_cluster=other, **to)
    later = told(mesh="knative", proxy="queue-proxy", requests=1.0, hour=START + HOUR, **to)

    assert requests_of(istio, queue) == requests
    assert requests_of(istio, queue, later) == requests + 1


def test_a_counter_that_begins_again_and_scrapes_out_of_order(scrape: Scrape, found: Any) -> None:
    record = samples(DATA / "istio.prom")
    values = {0: 100, 1: 110, 2: 120, 3: 7, 4: 9}
    for minute in (3, 0, 4, 2, 1):
        scrape(minute, times(record, values[minute] / 36))

    assert found()[0]["requests"] == 20 + 9


def test_two_scrapers_of_one_proxy(scrape: Scrape, found: Any) -> None:
    record = samples(DATA / "istio.prom")
    for minute in range(3):
        scrape(minute, times(record, minute), prometheus_replica="a")
        scrape(minute + 0.3, times(record, minute + 0.25), prometheus_replica="b", job="again")

    assert found()[0]["requests"] == 72


def test_new_labels_on_everything_are_no_traffic(scrape: Scrape, found: Any) -> None:
    record = samples(DATA / "istio.prom")
    for minute in range(2):
        scrape(minute, times(record, 1000 + minute))
    for minute in range(2, 5):
        scrape(minute, times(record, 1000 + minute, cell="east"))

    assert found()[0]["requests"] == 36 + 72


def test_whole_histograms_and_growth(telemetry: Any, found: Any) -> None:
    labels = samples(DATA / "istio.prom")[0][1]
    request = ExportMetricsServiceRequest()
    entry = request.resource_metrics.add()
    metrics = entry.scope_metrics.add().metrics
    cumulative, delta = (
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
        AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA,
    )
    for minute in range(3):
        at_ns = round((START + timedelta(minutes=minute)).timestamp()) * 10**9
        durations, counts = Metric(name="istio_request_duration_milliseconds"), Metric()
        durations.histogram.aggregation_temporality = cumulative
        point = durations.histogram.data_points.add(time_unix_nano=at_ns, count=minute, sum=minute * 250.0)
        counts.name, counts.sum.aggregation_temporality = "istio_requests_total", delta
        grown = counts.sum.data_points.add(time_unix_nano=at_ns, as_int=4)
        for holder in (point, grown):
            for key, text in labels.items():
                holder.attributes.add(key=key).value.string_value = text
        metrics.extend([durations, counts])
    telemetry.body(Signal.METRICS, request.SerializeToString())

    (edge,) = found()

    assert (edge["requests"], edge["duration_ms"]) == (12, 500)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("response_total", {"status_code": "200"}),
        ("upstream_rq_total", {}),
        ("istio_requests_total", {}),
        ("envoy_cluster_upstream_rq_xx", {"envoy_cluster_name": "outbound|80||a.b"}),
        ("envoy_http_downstream_rq_xx", {"envoy_http_conn_manager_prefix": "admin"}),
        ("tcp_open_total", {"direction": "outbound", "peer": "src"}),
        ("response_total", {"direction": "inbound", "target_port": "4191"}),
        ("revision_app_request_count", {"revision_name": "web-00001"}),
    ],
)
def test_what_is_no_edge(scrape: Scrape, found: Any, name: str, labels: dict[str, str]) -> None:
    for minute in range(2):
        scrape(minute, [(name, labels, float(minute))])

    assert found() == []


def told(**values: Any) -> dict[str, Any]:
    """A row of an edge in the hour."""
    empty = {**dict.fromkeys(NAMES, ""), **dict.fromkeys(MEASURES, 0.0), "hour": START}
    return {**empty, "mesh": "istio", "origin": "metrics", "requests": 1.0, **values}


def requests_of(*rows: dict[str, Any]) -> float:
    return float(counted_once(pl.DataFrame(list(rows), SCHEMA))["requests"].sum())


def test_a_log_counts_only_where_its_workload_sends_no_metrics() -> None:
    ends = {"source_workload": "a", "destination_workload": "b", "reporter": "destination"}
    log = told(**ends, origin="access_log", requests=5.0)

    assert requests_of(told(**ends), log) == 1
    assert requests_of(told(**{**ends, "destination_workload": "c"}), log) == 6
    assert requests_of(told(**ends, hour=START + HOUR), log) == 6


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"proxy_cluster": "dub"}, 6),
        ({"proxy_cluster": "fra"}, 1),
        ({}, 1),
        ({"mesh": "istio", "destination_cluster": "Kubernetes"}, 1),
        ({"mesh": "istio", "proxy_cluster": "dub", "destination_cluster": "Kubernetes"}, 6),
        ({"mesh": "istio", "proxy_cluster": "prometheus-1", "destination_cluster": "fra"}, 1),
        ({"mesh": "istio", "proxy_cluster": "prometheus-1", "proxy_pod": "shop/b-1"}, 1),
    ],
)
def test_a_log_of_one_cluster_counts_beside_metrics_of_another(
    metrics: dict[str, str], expected: float
) -> None:
    """Staging has the names of production. Istio may call a cluster otherwise than telemetry does."""
    ends = {"mesh": "envoy", "destination_workload": "b", "reporter": "destination"}
    log = told(**ends, proxy_cluster="fra", proxy_pod="shop/b-1", origin="access_log", requests=5.0)

    assert requests_of(told(**{**ends, **metrics}), log) == expected


def test_what_is_chosen_is_chosen_by_the_hour() -> None:
    ends = {"source_workload": "a", "destination_workload": "b"}
    early = told(**ends, reporter="source", requests=10.0)
    late = [told(**ends, reporter=who, hour=START + HOUR) for who in ("source", "destination")]

    assert requests_of(early, *late) == 11


def test_nothing_told_is_no_edge() -> None:
    assert edges(counted_once(pl.DataFrame(schema=SCHEMA))).is_empty()


def test_a_callees_log_counts_if_no_callers_does() -> None:
    """And what came without mTLS, whoever else tells."""
    service = {"destination_service": "b.shop.svc.cluster.local", "origin": "access_log"}
    caller = told(**service, source_workload="a", reporter="source", requests=7.0)
    callee = told(**service, destination_workload="b", reporter="destination", security="mutual_tls")
    stranger = {**callee, "security": "none", "requests": 3.0}

    assert requests_of(callee, stranger) == 4
    assert requests_of(caller, callee, stranger) == 10


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        ({"proxy_cluster": "fra", "peer_cluster": "fra"}, 10 + 1),  # and its own callee's is in the other's
        ({"proxy_cluster": "fra"}, 10),  # nobody knows whom it reached
        ({"proxy_cluster": "dub", "peer_cluster": "dub"}, 10),
        ({}, 10),
    ],
)
def test_a_callers_log_hides_callees_of_its_own_cluster(caller: dict[str, str], expected: float) -> None:
    """A service of one name in two clusters. A call to another cluster of the same mesh counts once, too."""
    service = {"destination_service": "b.shop.svc.cluster.local", "origin": "access_log"}
    asked = told(**service, source_workload="a", reporter="source", requests=10.0, **caller)
    callee = told(**service, destination_workload="b", reporter="destination", proxy_cluster="dub")

    assert requests_of(asked, callee) == expected
    assert requests_of(callee) == 1
