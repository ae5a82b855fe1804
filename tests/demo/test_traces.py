"""Traces hang together: parents, links, instances, kinds; sidecars and functions are marked as such."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


def _threshold(trace_state: str) -> int:
    assert trace_state.startswith("ot=th:")
    return int(trace_state.removeprefix("ot=th:").ljust(14, "0"), 16)


def test_every_parent_was_sent_in_the_same_trace(showing: Any) -> None:
    for seen in showing.spans:
        if seen.span.parent_span_id:
            assert (seen.span.trace_id, seen.span.parent_span_id) in showing.by_identity


def test_what_is_waited_for_lies_within_its_parent(showing: Any) -> None:
    checked = 0
    for seen in showing.spans:
        parent = showing.by_identity.get((seen.span.trace_id, seen.span.parent_span_id))
        if parent is None or seen.span.kind == CONSUMER or "faas.init_phase" in seen.attributes:
            continue
        assert parent.span.start_time_unix_nano <= seen.span.start_time_unix_nano
        assert seen.span.end_time_unix_nano <= parent.span.end_time_unix_nano
        checked += 1
    assert checked > 10_000


def test_client_and_server_are_pairs_across_services(showing: Any) -> None:
    served = Counter()
    for seen in showing.spans:
        parent = showing.by_identity.get((seen.span.trace_id, seen.span.parent_span_id))
        if seen.span.kind == SERVER and parent is not None:
            if parent.span.kind == CLIENT:
                assert parent.attributes["peer.service"] == seen.resource["service.name"]
                assert parent.resource["service.name"] != seen.resource["service.name"]
                served[parent.identity] += 1
            else:
                assert parent.proxy, "a server span hangs below a client span or its own sidecar's"
                assert parent.resource["service.name"] == seen.resource["service.name"]
                assert parent.resource["k8s.pod.uid"] == seen.resource["k8s.pod.uid"]
    calls = [seen for seen in showing.spans if "peer.service" in seen.attributes]
    assert len(served) == len(calls) > 1000
    assert set(served.values()) == {1}


def test_the_peer_address_is_the_instance_that_answered(showing: Any) -> None:
    checked = 0
    for seen in showing.spans:
        parent = showing.by_identity.get((seen.span.trace_id, seen.span.parent_span_id))
        if seen.span.kind == SERVER and parent is not None and "network.peer.address" in parent.attributes:
            if "k8s.pod.ip" in seen.resource:
                assert parent.attributes["network.peer.address"] == seen.resource["k8s.pod.ip"]
                checked += 1
            if "peer.cloud.availability_zone" in parent.attributes:
                assert (
                    parent.attributes["peer.cloud.availability_zone"]
                    == seen.resource["cloud.availability_zone"]
                )
    assert checked > 1000


def test_one_request_runs_on_one_instance_of_a_service(showing: Any) -> None:
    for seen in showing.spans:
        parent = showing.by_identity.get((seen.span.trace_id, seen.span.parent_span_id))
        if parent is not None and seen.span.kind in (CLIENT, PRODUCER):
            assert parent.resource["service.instance.id"] == seen.resource["service.instance.id"]


def test_consumers_hang_below_their_message_or_link_to_it(showing: Any) -> None:
    linked = Counter()
    for seen in showing.spans:
        if seen.span.kind != CONSUMER or seen.attributes["messaging.destination.name"] == "region.changes":
            continue
        if seen.span.parent_span_id:
            sources = [showing.by_identity[seen.span.trace_id, seen.span.parent_span_id]]
        else:
            sources = [showing.by_identity[link.trace_id, link.span_id] for link in seen.span.links]
            linked[len(sources)] += 1
            assert len(sources) == seen.attributes.get("messaging.batch.message_count", 1)
            assert all(source.span.trace_id != seen.span.trace_id for source in sources)
        for source in sources:
            assert source.span.kind == PRODUCER
            assert (
                source.attributes["messaging.destination.name"]
                == seen.attributes["messaging.destination.name"]
            )
            assert source.span.end_time_unix_nano <= seen.span.start_time_unix_nano
    assert linked[10] > 10, "batches of the whole part"
    assert linked[1] > 10, "single messages"


def test_a_message_is_taken_once(showing: Any) -> None:
    taken = Counter(
        (link.trace_id, link.span_id)
        for seen in showing.spans
        for link in seen.span.links
        if seen.attributes["messaging.destination.name"] == "events.raw"
    )
    assert taken
    assert set(taken.values()) == {1}


def test_tracestate_is_consistent_and_trace_ids_prove_it(showing: Any) -> None:
    by_trace = defaultdict(set)
    for seen in showing.spans:
        by_trace[seen.span.trace_id].add(seen.span.trace_state)
        assert seen.span.flags & 0x3 == 0x3, "sampled and random"
    whole_from = showing.stage.settings.now_ns - int(0.125 * 86_400e9)
    for trace_id, states in by_trace.items():
        assert len(states) == 1
        assert int.from_bytes(trace_id[9:], "big") >= _threshold(next(iter(states)))
    for seen in showing.spans:
        if (
            seen.span.start_time_unix_nano < whole_from - 3600 * 10**9
            and seen.attributes.get("http.route") == "/v1/suggest"
        ):
            assert seen.span.trace_state == "ot=th:fe"
        if seen.span.start_time_unix_nano > whole_from + 3600 * 10**9:
            assert seen.span.trace_state == "ot=th:0"


def test_sidecars_are_recognisable_and_few(showing: Any) -> None:
    proxies = [seen for seen in showing.spans if seen.proxy]
    assert {seen.resource["service.name"] for seen in proxies} == {"checkout-api", "pay-gateway", "profile"}
    for seen in proxies:
        assert seen.scope == ""
        assert seen.resource["k8s.container.name"] == "istio-proxy"
        assert seen.resource["telemetry.sdk.name"] == "envoy"
        namespace = seen.resource["k8s.namespace.name"]
        assert seen.attributes["node_id"] == (
            f"sidecar~{seen.resource['k8s.pod.ip']}~{seen.resource['k8s.pod.name']}.{namespace}"
            f"~{namespace}.svc.cluster.local"
        )
        assert seen.attributes["istio.canonical_service"] == seen.resource["service.name"]


def test_functions_start_cold_where_their_spans_say_so(showing: Any) -> None:
    served = [
        seen
        for seen in showing.spans
        if "faas.coldstart" in seen.attributes and "faas.trigger" in seen.attributes
    ]
    inits = [seen for seen in showing.spans if "faas.init_phase" in seen.attributes]
    cold = [seen for seen in served if seen.attributes["faas.coldstart"]]
    assert 0 < len(cold) < len(served)
    assert Counter(seen.resource["faas.instance"] for seen in inits) == Counter(
        seen.resource["faas.instance"] for seen in cold
    )
    first = {}
    for seen in sorted(served, key=lambda s: s.span.start_time_unix_nano):
        first.setdefault(seen.resource["faas.instance"], seen)
    assert {s.identity for s in first.values() if s.attributes["faas.coldstart"]} == {
        s.identity for s in cold
    }


def test_errors_are_told_three_times_over(showing: Any) -> None:
    failed = [seen for seen in showing.spans if seen.span.status.code == 2]
    assert 0.0005 < len(failed) / len(showing.spans) < 0.02
    for seen in failed:
        parent = showing.by_identity.get((seen.span.trace_id, seen.span.parent_span_id))
        if seen.attributes.get("http.response.status_code"):
            assert seen.attributes["http.response.status_code"] >= 500
        if seen.span.kind == SERVER and not seen.proxy:
            assert [event.name for event in seen.span.events] == ["exception"]
            event = seen.span.events[0].time_unix_nano
            assert seen.span.start_time_unix_nano <= event <= seen.span.end_time_unix_nano
            if parent is not None and parent.span.kind == CLIENT:
                assert parent.span.status.code == 2


def _ready_zones(showing: Any, workload: str, at_ns: int) -> set[str]:
    return {
        pod.node.zone
        for pod in showing.stage.fleet.pods
        if pod.workload.name == workload
        and pod.workload.service.environment == "production"
        and pod.node
        and pod.ready_ns <= at_ns < pod.ended_ns
    }


def test_only_the_planted_call_leaves_a_zone_where_it_could_stay(showing: Any) -> None:
    crossing: Counter[tuple[str, str, bool]] = Counter()
    for seen in showing.spans:
        client = showing.by_identity.get((seen.span.trace_id, seen.span.parent_span_id))
        if client is not None and client.proxy:
            continue
        if seen.span.kind != SERVER or client is None or "k8s.node.name" not in seen.resource:
            continue
        zone = client.resource.get("cloud.availability_zone")
        caller, callee = client.resource["service.name"], seen.resource["service.name"]
        if (
            seen.resource["deployment.environment.name"] == "staging"
            or zone == seen.resource["cloud.availability_zone"]
        ):
            crossing[caller, callee, False] += 1
        elif zone in _ready_zones(
            showing, seen.resource["k8s.deployment.name"], seen.span.start_time_unix_nano
        ):
            crossing[caller, callee, True] += 1
    assert {pair[:2] for pair, count in crossing.items() if pair[2] and count} == {
        ("pay-route", "pay-gateway")
    }
    assert crossing["pay-route", "pay-gateway", False] == 0
    assert crossing["asset-search", "search-shard", False] == 0, "the decoy has no instance in its zone"
