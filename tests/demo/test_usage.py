"""Usage metrics: they add up on the nodes, follow the traffic, respect floors and limits, and count
onwards."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.signals import Signal
from lowtide.demo.arrivals import DAY_NS, MINUTE_NS
from lowtide.demo.load import Load, beats
from lowtide.demo.workloads import IDLE_MEMORY_MIB

MIB = 1 << 20


@pytest.fixture(scope="module")
def points(showing: Any) -> dict[str, dict[tuple[str, ...], dict[int, float]]]:
    """Metric -> (cluster, node, pod, container) -> time -> value; points with labels are left out."""
    found: dict[str, dict[tuple[str, ...], dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for resource, metric in showing.metrics():
        if not metric.name.startswith(("container.", "k8s.container.", "k8s.node.")):
            continue
        key = tuple(
            resource.get(name, "")
            for name in ("k8s.cluster.name", "k8s.node.name", "k8s.pod.name", "k8s.container.name")
        )
        data = getattr(metric, metric.WhichOneof("data"))
        for point in data.data_points:
            if not point.attributes:
                value = getattr(point, point.WhichOneof("value"))
                assert point.time_unix_nano not in found[metric.name][key], "a series has one point at a time"
                found[metric.name][key][point.time_unix_nano] = value
    return found


def test_nodes_use_what_their_containers_use(points: Any) -> None:
    for name, node_name, extra in (
        ("container.cpu.usage", "k8s.node.cpu.usage", 0.3),
        ("container.memory.working_set", "k8s.node.memory.working_set", 1.5 * 1024 * MIB),
    ):
        sums: dict[tuple[str, int], float] = defaultdict(float)
        for (_, node, _, _), values in points[name].items():
            for at, value in values.items():
                sums[node, at] += value
        for (_, node, _, _), values in points[node_name].items():
            for at, value in values.items():
                assert 0 < value - sums[node, at] < extra, "the system itself takes a little"


def test_nodes_are_never_used_beyond_their_capacity(points: Any) -> None:
    for used, available in (
        ("k8s.node.cpu.usage", "k8s.node.cpu.allocatable"),
        ("k8s.node.memory.working_set", "k8s.node.memory.allocatable"),
    ):
        for key, values in points[used].items():
            assert all(value <= points[available][key][at] for at, value in values.items())
    for what in ("cpu", "memory"):
        for key, values in points[f"k8s.node.{what}.allocatable"].items():
            assert all(value < points[f"k8s.node.{what}.capacity"][key][at] for at, value in values.items())


def test_requests_fit_allocatable_at_every_moment(points: Any) -> None:
    for what, available in (("cpu", "k8s.node.cpu.allocatable"), ("memory", "k8s.node.memory.allocatable")):
        sums: dict[tuple[str, int], float] = defaultdict(float)
        for (_, node, _, _), values in points[f"k8s.container.{what}.request"].items():
            for at, value in values.items():
                sums[node, at] += value
        for (_, node, _, _), values in points[available].items():
            for at, value in values.items():
                assert 0 < sums[node, at] <= value


def test_every_container_has_usage_and_requests_at_the_same_moments(points: Any) -> None:
    containers = points["container.cpu.usage"]
    for name in (
        "container.memory.working_set",
        "k8s.container.cpu.request",
        "k8s.container.memory.request",
        "k8s.container.memory.limit",
    ):
        assert {k: set(v) for k, v in points[name].items()} == {k: set(v) for k, v in containers.items()}
    assert 0 < len(points["k8s.container.cpu.limit"]) < len(containers)
    sidecars = {key for key in containers if key[3] == "istio-proxy"}
    assert len({key[2] for key in sidecars}) >= 20
    for key in sidecars:
        assert set(points["k8s.container.cpu.request"][key].values()) == {0.1}
        assert set(points["k8s.container.memory.request"][key].values()) == {128 * MIB}


def test_memory_stays_between_floor_and_limit(points: Any, showing: Any) -> None:
    estate = showing.stage.estate
    for key, values in points["container.memory.working_set"].items():
        limit = points["k8s.container.memory.limit"][key]
        assert all(0 < value <= limit[at] for at, value in values.items())
        service = estate.services.get(key[3])
        if service is not None and service.sdk and not service.floor_memory_mib:
            floor = IDLE_MEMORY_MIB[estate.sdks[service.sdk].language]
            assert min(values.values()) > 0.9 * floor * MIB


def test_usage_follows_the_traffic(points: Any, showing: Any) -> None:
    by_time: dict[int, float] = defaultdict(float)
    for (_, _, pod, container), values in points["container.cpu.usage"].items():
        if container == "render-api" and pod.startswith("render-api"):
            for at, value in values.items():
                by_time[at] += value
    now = showing.stage.settings.now_ns
    peak = np.mean([v for at, v in by_time.items() if at > now - 2 * 3600 * 10**9])  # 13 to 15 o'clock
    night = np.mean([v for at, v in by_time.items() if abs(at - (now - 12 * 3600 * 10**9)) < 3600 * 10**9])
    assert peak / night > 10


def test_counters_only_grow(showing: Any) -> None:
    series: dict[tuple[str, str, str, int], list[tuple[int, float]]] = defaultdict(list)
    for resource, metric in showing.metrics():
        if (
            metric.WhichOneof("data") == "sum"
            and metric.sum.is_monotonic
            and metric.sum.aggregation_temporality == 2
        ):
            for point in metric.sum.data_points:
                label = point.attributes[0].value.string_value
                unit = resource.get("k8s.pod.uid") or resource["host.id"]
                key = (metric.name, unit, label, point.start_time_unix_nano)
                series[key].append((point.time_unix_nano, getattr(point, point.WhichOneof("value"))))
    assert {key[0] for key in series} == {"k8s.pod.network.io", "system.network.io", "process.cpu.time"}
    for values in series.values():
        values.sort()
        assert all(b[1] > a[1] for a, b in pairwise(values))


def test_replicas_are_reported(showing: Any) -> None:
    desired: dict[str, set[int]] = defaultdict(set)
    available: dict[str, set[int]] = defaultdict(set)
    for resource, metric in showing.metrics():
        if metric.name.startswith("k8s.deployment.pod."):
            target = desired if metric.name.endswith("desired") else available
            if resource["deployment.environment.name"] == "production":
                target[resource["k8s.deployment.name"]] |= {p.as_int for p in metric.gauge.data_points}
    assert desired["auth"] == {3}
    assert 3 in available["auth"]
    assert desired["stock-v1"] == {1}
    assert max(desired["design-api"]) > min(desired["design-api"]) == 4


def test_hosts_report_themselves(showing: Any) -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for resource, metric in showing.metrics():
        if "host.id" in resource and resource.get("service.name"):
            seen[resource["host.name"]].add(metric.name)
            assert resource["host.type"] == "t3.medium"
    assert set(seen) == {"vm-tax-rate-01", "vm-license-key-01"}
    for names in seen.values():
        assert {
            "system.cpu.utilization",
            "system.memory.limit",
            "process.cpu.time",
            "process.memory.usage",
        } <= names


def test_cold_starts_are_counted_like_their_spans(showing: Any) -> None:
    inits = sum("faas.init_phase" in seen.attributes for seen in showing.spans)
    counted = measured = 0
    for _, metric in showing.metrics():
        if metric.name == "faas.coldstarts":
            counted += sum(point.as_int for point in metric.sum.data_points)
        if metric.name == "faas.init_duration":
            for point in metric.histogram.data_points:
                assert sum(point.bucket_counts) == point.count
                assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
                assert point.min <= point.sum / point.count <= point.max
                measured += point.count
    assert inits == counted == measured > 0


def test_starts_of_pods_can_be_taken_apart(showing: Any) -> None:
    """Created, scheduled, started, ready: in that order, and the same pods as in the events."""
    times: dict[str, dict[str, float]] = defaultdict(dict)
    for _, metric in showing.metrics():
        if metric.name.startswith("kube_pod_"):
            for point in metric.gauge.data_points:
                pod = next(a.value.string_value for a in point.attributes if a.key == "pod")
                times[pod][metric.name] = point.as_double
    assert len(times) > 20
    for found in times.values():
        assert (
            found["kube_pod_created"]
            < found["kube_pod_status_scheduled_time"]
            < found["kube_pod_container_state_started"]
            < found["kube_pod_status_ready_time"]
        )
    reasons: dict[str, list[str]] = defaultdict(list)
    started = 0
    for request, message in zip(showing.requests, showing.decoded, strict=True):
        if request.signal is Signal.LOGS:
            for group in message.resource_logs:
                resource = {a.key: a.value.string_value for a in group.resource.attributes}
                for scope in group.scope_logs:
                    started += sum(
                        a.key == "startup.duration_s" for r in scope.log_records for a in r.attributes
                    )
                    if resource.get("k8s.object.kind") == "Pod":
                        for record in scope.log_records:
                            reason = next(
                                a.value.string_value for a in record.attributes if a.key == "k8s.event.reason"
                            )
                            reasons[resource["k8s.object.name"]].append(reason)
    assert set(reasons) == set(times)
    assert started > 20
    for found_reasons in reasons.values():
        assert found_reasons[:3] == ["Scheduled", "Pulling", "Pulled"]
        assert found_reasons[-1] == "Started"


@given(
    days=st.floats(0.01, 12),
    cut=st.floats(0, 1),
    start=st.integers(1_700_000_000 // 60, 1_800_000_000 // 60),
)
def test_moments_are_cut_without_gap_or_overlap(days: float, cut: float, start: int) -> None:
    begin = start * MINUTE_NS
    end = begin + round(days * 1440) * MINUTE_NS
    middle = begin + round(days * 1440 * cut) * MINUTE_NS
    steps = ((1.0, 1), (2.0, 5), (9.0, 15))
    whole = [int(t) for beat in beats(begin, end, end, steps) for t in beat.times_ns]
    parts = [
        int(t)
        for a, b in ((begin, middle), (middle, end))
        for beat in beats(a, b, end, steps)
        for t in beat.times_ns
    ]
    assert whole == parts == sorted(set(whole))
    for beat in beats(begin, end, end, steps):
        assert len(beat.times_ns) <= 72
        assert len({t // DAY_NS for t in beat.times_ns.tolist()}) == 1
        assert np.all(beat.times_ns % (beat.step_minutes * MINUTE_NS) == 0)
        age = (end - beat.times_ns) / DAY_NS
        assert beat.step_minutes == (
            1 if age.max() <= 1 else 5 if age.max() <= 2 else 15 if age.max() <= 9 else 60
        )


@given(st.lists(st.floats(0, 100), min_size=61, max_size=200), st.sampled_from([1, 5, 15, 60]))
def test_means_of_steps_keep_the_total(values: list[float], step: int) -> None:
    load = Load(0, {"x": np.asarray(values)}, {}, {}, {})
    times = np.arange(step, len(values) + 1, step, dtype=np.int64) * MINUTE_NS
    means = load.mean("cores", "x", times, step)
    assert means.sum() * step == pytest.approx(sum(values[: len(times) * step]), abs=1e-6)
    assert np.all(load.mean("cores", "nobody", times, step) == 0)
