"""How long pods took to start: events of the recorded kind, beside what kube-state-metrics says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ingest.signals import Signal
from ingest.store.engine import Session
from support.kubernetes import sample, written

DAY_MS = 86_400_000
NOON = time.time_ns() // 10**6 // DAY_MS * DAY_MS - DAY_MS // 2
NOON_S = NOON // 1000
POD = {"namespace": "default", "pod": "wordpress-5fd7755c6c-rhbhz", "uid": "7a1d"}
"""Its events are those that `kubectl describe` shows of such a pod, in the public notes of a training course:
seconds after it was scheduled, container, reason, message.
"""
EVENTS = [
    (
        0,
        "",
        "Scheduled",
        "Successfully assigned default/wordpress-5fd7755c6c-rhbhz to gke-1",
    ),
    (1, "web", "Pulling", 'Pulling image "gcr.io/cloud-marketplace/google/wordpress:5.3"'),
    (14, "web", "Pulled", 'Successfully pulled image "wordpress:5.3" in 13.351690873s'),
    (16, "web", "Created", "Created container web"),
    (16, "web", "Started", "Started container web"),
    (16, "cloudsql-proxy", "Pulling", 'Pulling image "gcr.io/cloudsql-docker/gce-proxy:1.11"'),
    (17, "cloudsql-proxy", "Pulled", 'Successfully pulled image "gce-proxy:1.11" in 721.501878ms'),
    (17, "cloudsql-proxy", "Created", "Created container cloudsql-proxy"),
    (17, "cloudsql-proxy", "Started", "Started container cloudsql-proxy"),
]
Tell = Callable[..., None]


@pytest.fixture
def tell(insert: Callable[..., None], tenant: str) -> Tell:
    """`tell(seconds, container, reason, message)`: an event as the Collector's receiver sends it."""

    def run(at_s: float, container: str, reason: str, message: str, **more: str) -> None:
        request = ExportLogsServiceRequest()
        entry = request.resource_logs.add()
        field = f"spec.containers{{{container}}}" if container else ""
        who = {"kind": "Pod", "name": POD["pod"], "uid": POD["uid"], "fieldpath": field, **more}
        for key, text in who.items():
            entry.resource.attributes.add(key=f"k8s.object.{key}").value.string_value = text
        record = entry.scope_logs.add().log_records.add(time_unix_nano=int((NOON_S + at_s) * 10**9))
        record.body.string_value = message
        for key, text in {"k8s.event.reason": reason, "k8s.namespace.name": POD["namespace"]}.items():
            record.attributes.add(key=key).value.string_value = text
        insert(Signal.LOGS, request.SerializeToString(), tenant=tenant)

    return run


@pytest.fixture
def facts(insert: Callable[..., None], tenant: str) -> Tell:
    """`facts(minute, ready_s, restarts)`: what a scrape says of the pod, created two seconds before noon."""

    def run(minute: int, ready_s: int, restarts: int) -> None:
        at = NOON + minute * 60_000
        samples = [
            sample("kube_pod_info", at, 1, node="n1", **POD),
            sample("kube_pod_owner", at, 1, owner_kind="StatefulSet", owner_name="wordpress", **POD),
            sample("kube_pod_created", at, NOON_S - 2, **POD),
            sample("kube_pod_status_ready_time", at, NOON_S + ready_s, **POD),
            sample("kube_pod_container_status_restarts_total", at, restarts, container="web", **POD),
        ]
        insert(Signal.METRICS, written(samples), tenant=tenant)

    return run


@pytest.fixture
def starts(session: Session, tenant: str) -> Callable[[], list[tuple[Any, ...]]]:
    """What is known of the tenant's pods: kind and name of the workload, then the seconds."""
    query = """\
SELECT workload_kind, workload_name, total_s, schedule_s, image_pull_s, sidecar_s, init_s
FROM pod_starts WHERE tenant = {tenant:String} ORDER BY pod
"""
    return lambda: session.rows(query, {"tenant": tenant})


def test_the_steps_of_a_start(tell: Tell, facts: Tell, starts: Any) -> None:
    facts(1, 30, 0)
    for event in EVENTS:
        tell(*event)
        tell(*event)

    ((kind, name, total, schedule, pull, sidecar, init),) = starts()

    assert (kind, name) == ("StatefulSet", "wordpress")
    assert (total, schedule, sidecar, init) == (32.0, 2.0, None, 13.0)
    assert pull == pytest.approx(13.351690873 + 0.721501878)


def test_without_events(facts: Tell, starts: Any) -> None:
    facts(1, 30, 0)

    assert starts() == [("StatefulSet", "wordpress", 32.0, None, None, None, None)]


def test_without_metrics(tell: Tell, starts: Any) -> None:
    tell(0, "", "Scheduled", "Successfully assigned")
    tell(3, "web", "Pulled", 'Successfully pulled image "a" in 1m2.5s (1m3s including waiting)')
    tell(4, "log", "Pulled", 'Container image "a" already present on machine')
    tell(4, "far", "Pulled", 'Successfully pulled image "a" in 99999999999999s')

    assert starts() == [("", "", None, None, 62.5, None, None)]


def test_a_sidecar_that_is_waited_for(tell: Tell, facts: Tell, starts: Any) -> None:
    facts(1, 9, 0)
    tell(1, "istio-proxy", "Started", "Started container istio-proxy")
    tell(4, "web", "Started", "Started container web")
    tell(600, "web", "Started", "Started container web")

    assert starts() == [("StatefulSet", "wordpress", 11.0, None, None, 3.0, 5.0)]


def test_ready_again_after_a_restart_is_no_start(facts: Tell, starts: Any) -> None:
    facts(1, 500, 1)

    assert starts() == [("StatefulSet", "wordpress", None, None, None, None, None)]


@pytest.mark.parametrize(
    ("reason", "more"), [("BackOff", {}), ("Started", {"kind": "Node"}), ("Started", {"name": ""})]
)
def test_what_is_no_step_of_a_start(tell: Tell, starts: Any, reason: str, more: dict[str, str]) -> None:
    tell(1, "web", reason, "in 99999999999999s", **more)

    assert starts() == []
