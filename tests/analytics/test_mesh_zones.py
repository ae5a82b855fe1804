"""Zones of edges: from what proxies, logs and the inventory say, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from analytics.mesh import mesh_edges_answer
from analytics.mesh_documents import MeshEdge, MeshEdgesAnswer
from analytics.mesh_edges import MEASURES, SCHEMA, ZONE_MEASURES, counted_once, edges, zone_pairs
from analytics.mesh_zones import NODES, PODS, PROXIES, Places, zoned
from collector.foreign import envoy
from collector.foreign.envoy_messages import STREAM_MESSAGE
from ingest.signals import Signal
from ingest.store.engine import Session
from support.exposition import samples, scraped
from support.kubernetes import sample

DATA = Path(__file__).parent / "data" / "mesh"
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
HOUR = timedelta(hours=1)
PLACED = ("proxy_cluster", "proxy_pod", "peer_cluster")
TOLD = {
    **{name: kind for name, kind in SCHEMA.items() if name not in PLACED},
    "instance": pl.UInt64,
    "peer_address": pl.String,
}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def answer(session: Session, telemetry: Any, tenant: str) -> Callable[[], MeshEdgesAnswer]:
    """What is said of the hour."""

    def read() -> MeshEdgesAnswer:
        telemetry.store()
        window = f"{START.isoformat()}/{(START + HOUR).isoformat()}"
        return mesh_edges_answer(session, UTC, window=window, now=datetime.now(UTC), tenant=tenant)

    return read


def at_ms(minute: float) -> int:
    return round((START + timedelta(minutes=minute)).timestamp() * 1000)


def inventory(telemetry: Any, pods: dict[str, tuple[str, str]], cluster: str = "") -> None:
    """What kube-state-metrics says: `namespace/pod` with its address and the zone of its node."""
    named = {"cluster": cluster} if cluster else {}
    for key, (address, zone) in pods.items():
        namespace, pod = key.split("/")
        workload = pod.rsplit("-", 1)[0]
        telemetry.prometheus([
            sample(
                "kube_pod_info", at_ms(1), namespace=namespace, pod=pod, node=f"node-{zone}",
                pod_ip=address, **named,
            ),
            sample(
                "kube_pod_owner", at_ms(1), namespace=namespace, pod=pod, owner_kind="StatefulSet",
                owner_name=workload, owner_is_controller="true", **named,
            ),
            sample(
                "kube_node_info", at_ms(1), node=f"node-{zone}", provider_id=f"aws:///{zone}/i-{zone}",
                **named,
            ),
        ])  # fmt: skip


def logged(telemetry: Any, line: str, resource: dict[str, str]) -> None:
    """A line of an access log, as of the hour."""
    moment = f"[{START:%Y-%m-%dT%H}:26:18"
    request = ExportLogsServiceRequest()
    entry = request.resource_logs.add()
    for key, text in resource.items():
        entry.resource.attributes.add(key=key).value.string_value = text
    record = entry.scope_logs.add().log_records.add(time_unix_nano=at_ms(27) * 10**6)
    record.body.string_value = re.sub(r"^\[[^.]*", moment, line)
    telemetry.body(Signal.LOGS, request.SerializeToString())


CALLER, CALLEE = (DATA / "istio_httpbin.log").read_text("utf-8").splitlines()
SLEEP = {"k8s.namespace.name": "foo", "k8s.deployment.name": "sleep", "k8s.pod.name": "sleep-0"}
HTTPBIN = {"k8s.namespace.name": "foo", "k8s.deployment.name": "httpbin", "k8s.pod.name": "httpbin-0"}
BOTH = {"foo/sleep-0": ("10.44.1.23", "eu-1a"), "foo/httpbin-0": ("10.44.1.27", "eu-1b")}


def pairs(edge: MeshEdge) -> list[tuple[str, str, float]]:
    return [(pair.source_zone, pair.destination_zone, pair.requests) for pair in edge.zones]


@pytest.mark.parametrize(("line", "resource"), [(CALLER, SLEEP), (CALLEE, HTTPBIN)])
def test_an_access_log_by_the_addresses_of_pods(
    telemetry: Any, answer: Any, line: str, resource: dict[str, str]
) -> None:
    inventory(telemetry, BOTH, cluster="fra")
    logged(telemetry, line, resource)

    said = answer()

    (edge,) = said.rows
    assert pairs(edge) == [("eu-1a", "eu-1b", 1)]
    assert (edge.across_zones.requests, edge.across_zones.bytes) == (1, 135)
    assert edge.within_zone.requests == edge.unknown_zones.requests == 0
    assert [(pair.source_zone, pair.response_bytes) for pair in said.zones] == [("eu-1a", 135)]


@pytest.mark.parametrize(
    ("wrong", "changed"),
    [
        ("10.44.1.23:37652 outbound_", "10.44.1.23:0 outbound_"),  # from x-forwarded-for
        ("10.44.1.23:37652 outbound_", "10.44.1.99:37652 outbound_"),
        ("10.44.1.23:37652 outbound_", "81.2.69.142:37652 outbound_"),
        ("10.44.1.23:37652 outbound_", "999.44.1.23:37652 outbound_"),
    ],
)
def test_an_address_of_no_pod_is_not_known(
    session: Session, telemetry: Any, answer: Any, tenant: str, wrong: str, changed: str
) -> None:
    assert wrong in CALLEE
    inventory(telemetry, {**BOTH, "foo/other-0": ("81.2.69.142", "eu-1c")})
    logged(telemetry, CALLEE.replace(wrong, changed), HTTPBIN)

    (edge,) = answer().rows

    assert pairs(edge) == [("", "eu-1b", 1)]
    assert edge.unknown_zones.requests == 1
    kept = session.frame(
        "SELECT peer_address FROM mesh_edges_1m WHERE tenant = {tenant:String}", {"tenant": tenant}
    )
    assert kept["peer_address"].to_list() == (["10.44.1.99"] if ".99" in changed else [""])


def message(pod: str, address: str, zone: str, cluster: str, far: str) -> bytes:
    """A request as the Envoy of a pod tells it to the gRPC access log service."""
    said = STREAM_MESSAGE()
    node = said.identifier.node
    node.id = f"sidecar~{address}~{pod}.shop~shop.svc.cluster.local"
    node.locality.zone = zone
    entry = said.http_logs.log_entry.add()
    entry.request.request_method = 1
    entry.request.request_body_bytes = 100
    entry.response.response_code.value = 200
    entry.response.response_body_bytes = 900
    common = entry.common_properties
    common.start_time.seconds = at_ms(5) // 1000
    common.duration.nanos = 10**6
    common.upstream_cluster = cluster
    ends = (
        ("upstream", "downstream_direct") if cluster.startswith("out") else ("downstream_direct", "upstream")
    )
    for end, host in zip(ends, (far, "127.0.0.6"), strict=True):
        socket = getattr(common, f"{end}_remote_address").socket_address
        socket.address, socket.port_value = host, 8080
    return said.SerializeToString()


def test_envoys_that_say_their_zones_need_no_inventory(telemetry: Any, answer: Any) -> None:
    """Each says its own: the other end is found by its address, among those that say theirs."""
    limits = {"limit_bytes": 1 << 20, "memory_bytes": 1 << 26}
    asked = "outbound|80||stock.shop.svc.cluster.local"
    for body in (
        message("cart-0", "10.1.0.4", "eu-1a", asked, "10.1.0.9"),
        message("cart-0", "10.1.0.4", "eu-1a", asked, "10.1.0.8"),
        message("cart-0", "10.1.0.4", "eu-1a", asked, "10.1.0.7"),
        message("stock-0", "10.1.0.9", "eu-1b", "inbound|80||", "10.1.0.4"),
        message("stock-1", "10.1.0.8", "eu-1a", "inbound|80||", "10.1.0.4"),
    ):
        telemetry.body(Signal.LOGS, envoy.translate(body, **limits).body)

    edge = next(row for row in answer().rows if row.source_workload)

    assert sorted(pairs(edge)) == [("eu-1a", "", 1), ("eu-1a", "eu-1a", 1), ("eu-1a", "eu-1b", 1)]
    assert [part.bytes for part in (edge.within_zone, edge.across_zones, edge.unknown_zones)] == [1000] * 3


def test_istio_s_metrics_by_the_pods_that_report(telemetry: Any, answer: Any) -> None:
    """The destination counts in two zones; the caller is where all its pods are."""
    inventory(telemetry, {
        "default/productpage-v1-0": ("10.0.0.1", "eu-1a"), "default/productpage-v1-1": ("10.0.0.2", "eu-1a"),
        "default/details-v1-0": ("10.0.0.3", "eu-1a"), "default/details-v1-1": ("10.0.0.4", "eu-1b"),
    })  # fmt: skip
    record = samples(DATA / "istio.prom")
    for minute in range(3):
        for number, factor in ((0, 1.0), (1, 3.0)):
            grown = [(name, labels, value * minute * factor) for name, labels, value in record]
            labels = {"namespace": "default", "pod": f"details-v1-{number}", "instance": f"10.0.0.{number}:1"}
            telemetry.body(Signal.METRICS, scraped(grown, at_ms(minute), **labels))

    said = answer()

    (edge,) = said.rows
    assert sorted(pairs(edge)) == [("eu-1a", "eu-1a", 72), ("eu-1a", "eu-1b", 216)]
    assert (edge.requests, edge.within_zone.requests, edge.across_zones.requests) == (288, 72, 216)


@pytest.mark.parametrize("named", ["fra", ""])
def test_one_service_in_two_clusters(telemetry: Any, answer: Any, named: str) -> None:
    """In one both ends have a log, in the other the callee only: nobody's hides another's. Its
    kube-state-metrics need not name the cluster that its proxies name."""
    inventory(telemetry, BOTH, cluster=named)
    inventory(telemetry, {"foo/httpbin-0": ("10.44.1.27", "us-1a")}, cluster="dub")
    for cluster, line, resource in (
        ("fra", CALLER, SLEEP), ("fra", CALLEE, HTTPBIN), ("dub", CALLEE, HTTPBIN)
    ):  # fmt: skip
        logged(telemetry, line, {**resource, "k8s.cluster.name": cluster})

    asked, callee = sorted(answer().rows, key=lambda row: row.source_cluster, reverse=True)

    assert (asked.source_cluster, pairs(asked)) == ("fra", [("eu-1a", "eu-1b", 1)])
    assert (callee.destination_cluster, pairs(callee)) == ("dub", [("", "us-1a", 1)])


def test_linkerd_says_which_address_it_called(telemetry: Any, answer: Any) -> None:
    """Its `dst_zone` is empty where the nodes of a cluster have no zone for it."""
    inventory(telemetry, {
        "playground/client-0": ("10.42.0.9", "eu-1a"),
        "playground/playground-server-http-primary-0": ("10.42.1.24", "eu-1b"),
        "playground/playground-server-http-canary-0": ("10.42.0.23", "eu-1a"),
    })  # fmt: skip
    record = samples(DATA / "linkerd.prom")
    for minute in range(2):
        grown = [(name, labels, value * minute) for name, labels, value in record]
        labels = {"namespace": "playground", "pod": "client-0", "deployment": "client", "instance": "a:4191"}
        telemetry.body(Signal.METRICS, scraped(grown, at_ms(minute), **labels))

    primary, canary = answer().rows

    assert pairs(primary) == [("eu-1a", "eu-1b", 65)]
    assert pairs(canary) == [("eu-1a", "eu-1a", 7)]


def test_a_ztunnel_may_say_zones_itself(telemetry: Any, answer: Any) -> None:
    record = samples(DATA / "ztunnel.prom")
    said = {"source_zone": "eu-1a", "destination_zone": "unknown"}
    for minute in range(2):
        grown = [(name, {**labels, **said}, value * (1 + minute)) for name, labels, value in record]
        telemetry.body(Signal.METRICS, scraped(grown, at_ms(minute), app="ztunnel", instance="10.0.0.1:1"))

    for edge in answer().rows:
        assert [(pair.source_zone, pair.destination_zone) for pair in edge.zones] == [("eu-1a", "")]


def test_two_scrapers_of_one_proxy_of_which_one_knows_its_node(telemetry: Any, answer: Any) -> None:
    inventory(telemetry, {"default/details-v1-0": ("10.0.0.3", "eu-1b")})
    record = samples(DATA / "istio.prom")
    for minute in range(3):
        grown = [(name, labels, value * minute) for name, labels, value in record]
        for more in ({"prometheus_replica": "a"}, {"prometheus_replica": "b"}):
            labels = {"namespace": "default", "pod": "details-v1-0", "instance": "10.0.0.3:1", **more}
            telemetry.body(Signal.METRICS, scraped(grown, at_ms(minute), **labels))

    (edge,) = answer().rows

    assert (edge.requests, pairs(edge)) == (72, [("", "eu-1b", 72)])


def test_the_command_and_how_much_is_not_known(telemetry: Any, answer: Any, started: Command) -> None:
    inventory(telemetry, BOTH)
    logged(telemetry, CALLER, SLEEP)
    logged(telemetry, CALLER.replace("10.44.1.27", "10.44.1.28"), SLEEP)
    assert len(answer().rows) == 1
    window = f"{START.isoformat()}/{(START + HOUR).isoformat()}"

    code, out, err = started("mesh", "zones", "--window", window)

    assert code == 0
    assert [line.split()[:1] for line in out.splitlines()[1:]] == [["eu-1a"], ["eu-1a"]]
    assert "(not known)" in out
    assert "Of 50.0% of the bytes it is not known between which zones they went." in err


def told(**values: Any) -> dict[str, Any]:
    """A row of an edge in the hour, told by the proxy 1."""
    empty = {**dict.fromkeys(TOLD, ""), **dict.fromkeys(MEASURES, 0.0), "hour": START, "instance": 1}
    return {
        **empty, "mesh": "envoy", "origin": "metrics", "reporter": "source", "requests": 1.0,
        "peer_address": "", **values,
    }  # fmt: skip


def pod(name: str, node: str = "n1", address: str = "", cluster: str = "fra") -> dict[str, Any]:
    return {
        "cluster": cluster, "namespace": "shop", "pod": name, "node": node, "address": address,
        "workload_name": name.split("-", maxsplit=1)[0], "hour": START,
    }  # fmt: skip


def proxy(**values: Any) -> dict[str, Any]:
    empty = {**dict.fromkeys(PROXIES, ""), "instance": 1, "hour": START}
    return {**empty, "namespace": "shop", **values}


NODE_ZONES = pl.DataFrame(
    [("fra", "n1", "a"), ("fra", "n2", "b"), ("dub", "n1", "c"), ("dub", "n2", "c")], NODES, orient="row"
)


def zones(row: dict[str, Any], proxies: list[dict[str, Any]], pods: list[dict[str, Any]]) -> tuple[str, str]:
    places = Places(pl.DataFrame(proxies, PROXIES), pl.DataFrame(pods, PODS), NODE_ZONES)
    (found,) = zoned(pl.DataFrame([row], TOLD), places).to_dicts()
    return found["source_zone"], found["destination_zone"]


CART, STOCK = pod("cart-1"), pod("stock-1", "n2", "10.0.0.9")
TO_STOCK = {"peer_address": "10.0.0.9"}


@pytest.mark.parametrize(
    ("row", "proxies", "pods", "expected"),
    [
        pytest.param(TO_STOCK, [proxy(pod="cart-1")], [CART, STOCK], ("a", "b"), id="found by name"),
        pytest.param(
            TO_STOCK, [proxy(pod="cart-1", cluster="Kubernetes")], [CART, STOCK], ("a", "b"),
            id="Istio's name of a nameless cluster",
        ),
        pytest.param(
            TO_STOCK, [proxy(pod="cart-1", cluster="dub")], [CART, STOCK], ("", ""), id="another cluster"
        ),
        pytest.param(
            TO_STOCK, [proxy(pod="cart-1")], [CART, STOCK, pod("cart-1", cluster="dub")], ("", ""),
            id="a pod of that name in two clusters",
        ),
        pytest.param(
            TO_STOCK, [proxy(pod="cart-1", cluster="fra")],
            [CART, STOCK, pod("cart-1", cluster="dub"), pod("x-1", address="10.0.0.9", cluster="dub")],
            ("a", "b"), id="the same address in another cluster",
        ),
        pytest.param(
            TO_STOCK, [proxy(pod="cart-1")], [CART, STOCK, pod("x-1", "n1", "10.0.0.9")], ("a", ""),
            id="an address of two pods in two zones",
        ),
        pytest.param(
            TO_STOCK, [proxy(zone="a")], [CART, STOCK], ("a", ""), id="its zone said, not its cluster"
        ),
        pytest.param(
            TO_STOCK, [proxy(zone="z", pod="cart-1")], [CART], ("a", ""), id="the inventory before itself"
        ),
        pytest.param({}, [proxy(node="n2", cluster="fra")], [], ("b", ""), id="by the node"),
        pytest.param({}, [proxy(zone="a"), proxy(zone="b")], [], ("", ""), id="two zones said"),
        pytest.param(
            {"destination_namespace": "shop", "destination_workload": "stock"},
            [proxy(pod="cart-1")], [CART, STOCK, pod("stock-2", "n2")], ("a", "b"), id="one zone of all pods",
        ),
        pytest.param(
            {"destination_namespace": "shop", "destination_workload": "stock"},
            [proxy(pod="cart-1")], [CART, STOCK, pod("stock-2", "n1")], ("a", ""), id="pods in two zones",
        ),
        pytest.param(
            {"destination_namespace": "shop", "destination_workload": "stock"},
            [proxy(pod="cart-1")], [CART, STOCK, pod("stock-2", "n9")], ("a", ""), id="a node of no zone",
        ),
        pytest.param(
            {"destination_zone": "z", **TO_STOCK}, [proxy(pod="cart-1")], [CART, STOCK], ("a", "z"),
            id="the mesh itself first",
        ),
        pytest.param(
            {"reporter": "waypoint", **TO_STOCK}, [proxy(pod="cart-1")], [CART, STOCK], ("", "b"),
            id="a waypoint is no end",
        ),
        pytest.param(
            {"reporter": "destination", **TO_STOCK}, [proxy(pod="cart-1")], [CART, STOCK], ("b", "a"),
            id="told by the destination",
        ),
        pytest.param(TO_STOCK, [], [CART, STOCK], ("", ""), id="a proxy that says nothing"),
        pytest.param(
            {"mesh": "istio", "source_cluster": "east", "destination_cluster": "dub",
             "destination_namespace": "shop", "destination_workload": "stock"},
            [proxy(pod="cart-1", cluster="fra")], [CART, STOCK], ("a", ""), id="called in another cluster",
        ),
        pytest.param(
            {"mesh": "istio", "source_cluster": "east", "destination_cluster": "east",
             "destination_namespace": "shop", "destination_workload": "stock"},
            [proxy(pod="cart-1", cluster="fra")], [CART, STOCK], ("a", "b"), id="Istio's name of one's own",
        ),
    ],
)  # fmt: skip
def test_what_is_known_and_what_is_not(
    row: dict[str, Any], proxies: list[dict[str, Any]], pods: list[dict[str, Any]], expected: tuple[str, str]
) -> None:
    whole = {"source_namespace": "shop", "source_workload": "nobody", **row}
    assert zones(told(**whole), proxies, pods) == expected


def test_another_hour_says_nothing() -> None:
    assert zones(told(hour=START + HOUR, **TO_STOCK), [proxy(pod="cart-1")], [CART, STOCK]) == ("", "")


_NAME = st.sampled_from(["", "a", "b", "unknown"])
_ROW = st.fixed_dictionaries({
    "mesh": st.sampled_from(["istio", "linkerd", "envoy"]),
    "origin": st.sampled_from(["metrics", "access_log"]),
    "reporter": st.sampled_from(["source", "destination", "waypoint"]),
    **dict.fromkeys(("source_workload", "destination_workload", "destination_service"), _NAME),
    **dict.fromkeys(("source_zone", "destination_zone", "source_cluster", "destination_cluster"), _NAME),
    "source_namespace": st.just("shop"), "destination_namespace": st.just("shop"),
    "peer_address": st.sampled_from(["", "10.0.0.1", "10.0.0.2"]),
    "hour": st.sampled_from([START, START + HOUR]), "instance": st.integers(0, 3),
    **dict.fromkeys(ZONE_MEASURES, st.integers(0, 1000).map(float)),
})  # fmt: skip
_PROXY = st.fixed_dictionaries({
    "instance": st.integers(0, 3), "hour": st.just(START), "cluster": _NAME, "namespace": st.just("shop"),
    "pod": _NAME, "node": _NAME, "zone": _NAME, "address": st.sampled_from(["", "10.0.0.1"]),
})  # fmt: skip
_POD = st.fixed_dictionaries({
    **dict.fromkeys(("cluster", "pod", "node", "workload_name"), _NAME), "namespace": st.just("shop"),
    "address": st.sampled_from(["", "10.0.0.1", "10.0.0.2"]), "hour": st.just(START),
})  # fmt: skip
_NODE = st.fixed_dictionaries({"cluster": _NAME, "node": _NAME, "zone": st.sampled_from(["z1", "z2"])})


@given(
    rows=st.lists(_ROW, max_size=12), proxies=st.lists(_PROXY, max_size=6), pods=st.lists(_POD, max_size=8),
    nodes=st.lists(_NODE, max_size=6),
)  # fmt: skip
def test_zones_take_nothing_and_add_nothing(
    rows: list[dict[str, Any]], proxies: list[Any], pods: list[Any], nodes: list[Any]
) -> None:
    """Whatever is told of zones, the same calls are counted, and the parts of an edge are the edge."""
    plain = pl.DataFrame([told(**row) for row in rows], TOLD)
    places = Places(
        pl.DataFrame(proxies, PROXIES), pl.DataFrame(pods, PODS), pl.DataFrame(nodes, NODES)
    )  # fmt: skip
    counted = counted_once(zoned(plain, places))
    without = counted_once(zoned(plain, Places(places.proxies, places.pods, places.nodes.clear())))
    found = edges(counted)

    assert len(zoned(plain, places)) == len(plain)
    assert counted.select(ZONE_MEASURES).sum().rows() == without.select(ZONE_MEASURES).sum().rows()
    for row in found.to_dicts():
        for measure in ZONE_MEASURES:
            assert sum(pair[measure] for pair in row["zones"] or ()) == row[measure]
    for measure in ZONE_MEASURES:
        assert zone_pairs(counted)[measure].sum() == counted[measure].sum()
    known = {place["zone"] for place in (*proxies, *nodes)} | {row[end] for row in rows for end in ENDS}
    assert {zone for end in ENDS for zone in counted[end]} <= known | {""}


ENDS = ("source_zone", "destination_zone")
