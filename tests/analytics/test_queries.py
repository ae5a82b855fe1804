"""The queries, on the engine: what they count, what they leave out, and the types they give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from analytics import queries
from analytics.activity import activity_of, quiet_seconds
from analytics.samples import read_samples
from analytics.settings import AnalyticsSettings
from analytics.window import Window
from ingest.signals import Signal
from ingest.store.engine import Session

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
HOUR = Window(START, START + timedelta(hours=1))
SETTINGS = AnalyticsSettings()
POD = {
    "k8s.cluster.name": "fra", "k8s.namespace.name": "shop", "k8s.deployment.name": "cart",
    "k8s.pod.name": "cart-1", "k8s.node.name": "node-1", "service.name": "cart",
}  # fmt: skip
APP = {**POD, "k8s.container.name": "app"}
PROXY = {**POD, "k8s.container.name": "istio-proxy", "telemetry.sdk.name": "envoy"}


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def gauge(name: str, *values: tuple[float, float], **attributes: str) -> list[Any]:
    """Points of one metric: (minute, value)."""
    return [(name, value, at(minute), attributes) for minute, value in values]


def test_requests_are_corrected_for_sampling(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.requests(APP, [(at(1), 0.5)], trace_state="ot=th:c")  # one in four
    telemetry.requests(APP, [(at(1), 2.0), (at(2), 0.5)])
    telemetry.store()

    (row,) = activity_of(session, HOUR, SETTINGS, tenant).hours.to_dicts()

    assert (row["requests"], row["starts"], row["busy_s"]) == (6.0, 3, 4 * 0.5 + 2.5)
    assert (row["active_seconds"], row["active_minutes"], row["last_request_at"]) == (2, 2, at(2))
    assert (row["workload_kind"], row["workload_name"], row["hour"]) == ("Deployment", "cart", START)


def test_probes_are_nobodys_traffic_and_a_proxys_spans_stand_beside(
    session: Session, telemetry: Any, tenant: str
) -> None:
    telemetry.requests(APP, [(at(1), 0.5)])
    telemetry.requests(APP, [(at(5), 0.1)], {"user_agent.original": "kube-probe/1.30"})
    telemetry.requests(PROXY, [(at(1), 0.6), (at(2), 0.6)])
    telemetry.requests({**PROXY, "k8s.deployment.name": "mute", "service.name": "mute"}, [(at(3), 0.1)])
    telemetry.store()

    hours = activity_of(session, HOUR, SETTINGS, tenant).hours

    found = hours.select("workload_name", "source", "requests").sort("workload_name").rows()
    assert found == [("cart", "application", 1.0), ("mute", "proxy", 1.0)]


def test_seconds_of_the_chosen_workloads_only(session: Session, telemetry: Any, tenant: str) -> None:
    for name in ("cart", "price"):
        telemetry.requests({**APP, "k8s.deployment.name": name}, [(at(1), 1.0)])
    telemetry.store()

    hours = activity_of(session, HOUR, SETTINGS, tenant).hours.filter(pl.col("workload_name") == "cart")

    seconds = quiet_seconds(session, hours, HOUR, tenant).sort("second")

    assert seconds["workload_id"].unique().to_list() == hours["workload_id"].to_list()
    assert seconds.select("second", "starts", "ends", "carried").rows() == [
        (at(1), 1, 0, 0), (at(1) + timedelta(seconds=1), 0, 1, 0),
    ]  # fmt: skip


def test_owners_are_the_latest_values_that_are_not_empty(
    session: Session, telemetry: Any, tenant: str
) -> None:
    """The kubelet's, the application's and another container's resources tell different things."""
    kubelet = {key: value for key, value in APP.items() if key != "service.name"}
    labels = {"k8s.pod.label.team": "old", "k8s.pod.label.app.kubernetes.io/part-of": "shop"}
    telemetry.gauges({**kubelet, **labels}, gauge("container.cpu.usage", (1, 0.1)))
    telemetry.gauges({**APP, "k8s.pod.label.team": "new"}, gauge("container.cpu.usage", (2, 0.1)))
    telemetry.gauges({**kubelet, "k8s.container.name": "init"}, gauge("container.cpu.usage", (3, 0.1)))
    telemetry.store()

    (row,) = queries.owners(session, tenant, SETTINGS).to_dicts()

    assert (row["team"], row["application"], row["role"]) == ("new", "shop", "")
    assert (row["service_name"], row["first_seen_at"], row["last_seen_at"]) == ("cart", at(1), at(3))


def test_attributes_count_in_the_order_of_the_settings(session: Session, telemetry: Any, tenant: str) -> None:
    both = {**APP, "team": "plain", "k8s.namespace.label.team": "of-namespace", "lowtide.io/role": "standby"}
    telemetry.gauges(both, gauge("container.cpu.usage", (1, 0.1)))
    telemetry.store()

    def team(settings: AnalyticsSettings) -> tuple[str, str]:
        (row,) = queries.owners(session, tenant, settings).to_dicts()
        return row["team"], row["role"]

    assert team(SETTINGS) == ("of-namespace", "standby")
    assert team(AnalyticsSettings(team_attributes=("team",), role_attributes=())) == ("plain", "")


def test_a_pod_that_moved_is_known_minute_by_minute(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.gauges(APP, gauge("container.cpu.usage", (1, 0.1), (2, 0.1)))
    telemetry.gauges({**APP, "k8s.node.name": "node-0"}, gauge("container.cpu.usage", (3, 0.1)))
    telemetry.store()

    samples = read_samples(session, HOUR, tenant)

    minutes = samples.container_minutes.sort("minute")
    assert minutes["node"].to_list() == ["node-1", "node-1", "node-0"]
    assert samples.containers["node"].to_list() == ["node-0"]


def test_the_owner_closest_to_the_workload_counts(session: Session, telemetry: Any, tenant: str) -> None:
    """The kubelet may know the pod only, where the cluster's scraper knows its Deployment."""
    bare = {key: value for key, value in APP.items() if key not in ("k8s.deployment.name", "service.name")}
    telemetry.gauges(bare, gauge("container.cpu.usage", (1, 0.5)))
    telemetry.gauges(APP, gauge("k8s.container.cpu.request", (1, 0.25)))
    telemetry.store()

    samples = read_samples(session, HOUR, tenant)

    (container,) = samples.containers.to_dicts()
    assert (container["workload_kind"], container["workload_name"]) == ("Deployment", "cart")
    (minute,) = samples.container_minutes.to_dicts()
    assert (minute["cpu_usage"], minute["cpu_request"], minute["memory_usage"]) == (0.5, 0.25, None)


def test_a_workloads_id_is_the_same_in_every_query(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.gauges(APP, gauge("container.cpu.usage", (1, 0.5)))
    telemetry.gauges(
        POD, gauge("k8s.pod.network.io", (1, 1.0), (2, 2.0), interface="eth0", direction="receive")
    )
    telemetry.requests(APP, [(at(1), 0.5)])
    telemetry.store()

    activity = activity_of(session, HOUR, SETTINGS, tenant)
    samples = read_samples(session, HOUR, tenant)

    frames = [
        activity.hours, activity.witnesses, activity.traffic, samples.containers,
        queries.owners(session, tenant, SETTINGS),
    ]  # fmt: skip
    assert len({frame["workload_id"].item() for frame in frames}) == 1


def test_network_is_the_growth_of_counters_that_may_begin_again(
    session: Session, telemetry: Any, tenant: str
) -> None:
    """100 received, then 20 after a restart; 5 and 5 sent; and another pod's 60, in two minutes each."""
    for direction, values in (
        ("receive", ((0, 1000.0), (1, 1100.0), (2, 15.0))), ("transmit", ((0, 5.0), (1, 10.0), (2, 5.0))),
    ):  # fmt: skip
        telemetry.gauges(POD, gauge("k8s.pod.network.io", *values, interface="eth0", direction=direction))
    telemetry.gauges(
        {**POD, "k8s.pod.name": "cart-2"},
        gauge("k8s.pod.network.io", (0, 0.5), (2, 60.5), interface="eth0", direction="receive"),
    )
    telemetry.store()

    (row,) = activity_of(session, HOUR, SETTINGS, tenant).traffic.to_dicts()

    assert (row["network_bytes"], row["network_seconds"]) == (105.0 + 20.0 + 60.0, 240.0)


def test_the_witness_of_cpu_leaves_sidecars_out(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.gauges(APP, gauge("container.cpu.usage", *((minute, minute / 100) for minute in range(40))))
    telemetry.gauges(
        {**POD, "k8s.container.name": "istio-proxy"}, gauge("container.cpu.usage", (1, 7.0), (2, 7.0))
    )
    telemetry.store()

    (row,) = activity_of(session, HOUR, SETTINGS, tenant).witnesses.to_dicts()

    assert (row["cpu_samples"], row["first_sample_at"]) == (40, at(0))
    assert (row["cpu_floor_cores"], row["cpu_high_cores"]) == (0.02, 0.38)
    assert row["cpu_mean_cores"] == pytest.approx(0.195)


def test_a_range_ends_before_its_end(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.requests(APP, [(at(minute), 0.1) for minute in (-0.1, 0, 59.9, 60)])
    telemetry.store()

    (row,) = activity_of(session, HOUR, SETTINGS, tenant).hours.to_dicts()

    assert row["starts"] == 2


def test_tenants_see_their_own_only(session: Session, telemetry: Any, tenant: str) -> None:
    telemetry.gauges(APP, gauge("container.cpu.usage", (1, 0.1)))
    telemetry.requests(APP, [(at(1), 0.1)])
    telemetry.store()

    stranger = f"{tenant}-other"
    samples = read_samples(session, HOUR, stranger)
    activity = activity_of(session, HOUR, SETTINGS, stranger)

    frames = (samples.containers, samples.container_minutes, activity.hours, activity.witnesses)
    assert all(frame.is_empty() for frame in frames)
    assert queries.owners(session, stranger, SETTINGS).is_empty()


def access_log(resource: dict[str, str], minutes: list[float]) -> bytes:
    """Requests as the proxy of a pod logs them, each of a tenth of a second."""
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key, text in resource.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    records = entry.scope_logs.add().log_records
    for minute in minutes:
        record = records.add(time_unix_nano=round(at(minute).timestamp()) * 10**9, event_name="envoy.access")
        for key, text in {"method": "GET", "response_code": "200", "duration": "100"}.items():
            record.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


def test_an_access_log_counts_where_no_spans_do(session: Session, telemetry: Any, tenant: str) -> None:
    """Spans before the access log, the access log before a proxy's spans; each workload for itself."""
    mute = {**PROXY, "k8s.deployment.name": "mute", "service.name": "mute"}
    telemetry.requests(APP, [(at(1), 0.5)])
    telemetry.requests(mute, [(at(3), 0.1)])
    for resource in (PROXY, mute):
        telemetry.body(Signal.LOGS, access_log(resource, [1, 2]))
    telemetry.store()

    activity = activity_of(session, HOUR, SETTINGS, tenant)
    seconds = quiet_seconds(session, activity.hours, HOUR, tenant)

    found = activity.hours.select("workload_name", "source", "requests").sort("workload_name").rows()
    assert found == [("cart", "application", 1.0), ("mute", "access_log", 2.0)]
    assert seconds["starts"].sum() == 3
    assert len(activity.waited_for) == 2, "who is asked over HTTP is waited for"
