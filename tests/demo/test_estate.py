"""The estate as planted: size, room on the nodes, traffic over the week, and every story of truth.yaml."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from lowtide.demo.arrivals import MINUTE_NS, Calendar, arrivals_of
from lowtide.demo.estate import Estate, load_estate, service_name
from lowtide.demo.fleet import Fleet, NoRoomError
from lowtide.demo.settings import DemoSettings
from lowtide.demo.stage import Stage, set_up
from lowtide.demo.truth import planted
from lowtide.demo.workloads import FOREVER_NS, Unit

NOW = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
KINDS = {
    "schedule", "scale-to-zero", "keep-warm", "move-off-vm", "two-profiles", "unify-sdk",
    "stay-out-of-mesh", "platform-tax", "nearest-access-routing", "accelerate-start", "retire-revision",
    "fewer-replicas", "untouched", "attribute-to-callers", "shift-batch", "reduce-telemetry", "none",
    "retire",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(estate: Estate) -> Stage:
    """The whole nine weeks, planned but not played."""
    return set_up(estate, DemoSettings.ending(NOW))


def _year(estate: Estate) -> Calendar:
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    return Calendar(start, 365 * 1440, int(NOW.timestamp()) * 10**9, estate)


def test_the_company_has_the_size_it_claims(estate: Estate) -> None:
    business = estate.business()
    assert 60 <= len(business) <= 70
    assert len({estate.services[key].app for key in business if estate.services[key].app}) == 6
    assert {sdk.language for sdk in estate.sdks.values()} == {"java", "go", "nodejs", "python"}
    assert len(estate.sdks) == 6
    assert sum(sdk.distro is not None for sdk in estate.sdks.values()) == 1
    assert {estate.services[key].sdk for key in business} >= set(estate.sdks)
    bound = [key for key in business if estate.services[key].latency_bound]
    assert 0.27 <= len(bound) / len(business) <= 0.37
    assert len([key for key in business if estate.services[key].kind == "vm"]) == 2
    assert len([key for key in business if estate.services[key].kind == "function"]) >= 5
    assert len(estate.clusters) == 2


def test_seventeen_stories_are_planted_with_a_decoy_each(estate: Estate) -> None:
    truth = planted()
    stories = truth["stories"]
    assert len(stories) == len({story["story"] for story in stories}) == 17
    for story in stories:
        assert story["verdict"] in KINDS
        assert set(story.get("also", [])) <= KINDS
        assert set(story["services"]) <= set(estate.services)
        assert story["decoys"], story["story"]
        for decoy in story["decoys"]:
            assert decoy["verdict"] == "none"
            assert decoy["why"]
            assert decoy["service"] in estate.services
            assert decoy["service"] not in story["services"]
    for names in truth["other"].values():
        for name in [names] if isinstance(names, str) else names:
            known = {*estate.services, *estate.applications, *(a.team for a in estate.applications.values())}
            assert name in known
    mesh = next(story for story in stories if story["story"] == "old SDKs")["mesh"]
    assert not set(mesh["join-mesh"]) & set(mesh["stay-out-of-mesh"])
    assert not any(estate.services[key].sidecar for names in mesh.values() for key in names)
    bound = {key for key, service in estate.services.items() if service.latency_bound}
    assert bound <= set(mesh["stay-out-of-mesh"])


def test_no_package_that_judges_reads_the_truth() -> None:
    root = Path(__file__).parents[2]
    for package in ("analytics", "api", "alerts", "dashboards", "ingest", "collector"):
        for source in (root / package).rglob("*"):
            if source.suffix in (".py", ".sql", ".yaml"):
                assert "truth.yaml" not in source.read_text(encoding="utf-8"), source


def test_unknown_names_in_the_estate_are_errors() -> None:
    plain = load_estate().model_dump()
    plain["operations"]["buy"]["entry"] = "nobody.home"
    plain["services"]["auth"]["app"] = "nowhere"
    with pytest.raises(ValidationError, match=r"unknown endpoint 'nobody.home'"):
        Estate.model_validate(plain)


# -- pods and nodes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pods_always_fit_their_nodes(estate: Estate, seed: int) -> None:
    fleet = set_up(estate, DemoSettings.ending(NOW, seed=seed)).fleet
    changes: dict[str, list[tuple[int, int, float, float]]] = defaultdict(list)
    for pod in fleet.pods:
        assert pod.node is not None
        assert pod.created_ns < pod.ready_ns <= pod.ended_ns
        need = (pod.workload.pod_cpu_m / 1000, pod.workload.pod_memory_mib / 1024)
        changes[pod.node.name].append((pod.created_ns, 1, *need))
        changes[pod.node.name].append((pod.ended_ns, 0, -need[0], -need[1]))
        if pod.workload.service.kind != "daemonset":
            assert pod.node.cluster == pod.workload.service.cluster
        if pod.workload.service.zones:
            assert pod.node.zone in pod.workload.service.zones
    for node in fleet.nodes:
        cpu = memory = 0.0
        for _, _, more_cpu, more_memory in sorted(changes[node.name]):
            cpu, memory = cpu + more_cpu, memory + more_memory
            assert cpu <= node.allocatable_cpu + 1e-6
            assert memory <= node.allocatable_memory_gib + 1e-6


def test_too_much_for_the_nodes_is_said(estate: Estate) -> None:
    plain = estate.model_dump()
    plain["services"]["postgres"]["memory_mib"] = 64 * 1024
    with pytest.raises(NoRoomError, match="no node of papercrane-fra has room for postgres-0"):
        set_up(Estate.model_validate(plain), DemoSettings.ending(NOW, days=1))


def _live(stage: Stage, name: str, at_ns: int, ready: bool = True) -> list[Unit]:
    return [
        pod
        for pod in stage.fleet.pods
        if pod.workload.name == name
        and pod.workload.service.environment == "production"
        and (pod.ready_ns if ready else pod.created_ns) <= at_ns < pod.ended_ns
    ]


def test_a_release_never_leaves_less_than_wanted(stage: Stage) -> None:
    for name, wanted in (("auth", 3), ("upload-api", 2), ("quote-api", 1), ("font-catalog-v41", 2)):
        own = [pod for pod in stage.fleet.pods if pod.workload.name == name]
        assert len({pod.version for pod in own}) > 1, "releases happened"
        first = stage.settings.start_ns
        for at in sorted(
            {edge for pod in own for edge in (pod.ended_ns, pod.ready_ns) if first < edge < FOREVER_NS}
        ):
            assert len(_live(stage, name, at)) >= wanted


def test_autoscaled_services_follow_the_day(stage: Stage) -> None:
    for name, smallest in (("design-api", 4), ("render-api", 3)):
        peak = int(datetime(2026, 11, 18, 9, 45, tzinfo=UTC).timestamp()) * 10**9
        night = int(datetime(2026, 11, 18, 2, 0, tzinfo=UTC).timestamp()) * 10**9
        assert len(_live(stage, name, night)) == smallest
        assert len(_live(stage, name, peak)) >= smallest + 2


def test_replicas_of_one_service_stand_in_several_zones(stage: Stage) -> None:
    now = stage.settings.now_ns
    for name in ("auth", "pay-gateway", "pay-route", "upload-api"):
        pods = _live(stage, name, now)
        assert len({pod.node.zone for pod in pods if pod.node}) == len(pods)


def test_chain_was_scaled_up_for_the_promotion_and_left(stage: Stage) -> None:
    chain = next(s for s in planted()["stories"] if s["story"] == "after the promotion")["services"]
    assert len(chain) == 12
    now = stage.settings.now_ns
    for name in [*chain, "checkout-api"]:
        assert len(_live(stage, name, now - 40 * 86_400 * 10**9)) == 1
        assert len(_live(stage, name, now - 25 * 86_400 * 10**9)) == 3
        assert len(_live(stage, name, now)) == 3


@pytest.mark.parametrize("seed", [20_170, 1, 2, 3, 4, 5])
def test_slow_starters_have_started_twenty_times(estate: Estate, seed: int) -> None:
    stage = set_up(estate, DemoSettings.ending(NOW, seed=seed))
    for name in ("report-pdf", "trial-upgrade-mail", "quote-api"):
        starts = [
            pod.start
            for pod in stage.fleet.pods
            if pod.workload.name == name
            and stage.settings.start_ns <= pod.ready_ns < stage.settings.now_ns
            and pod.start
        ]
        assert len(starts) >= 20
        if name == "report-pdf":
            assert all(start.init_s > 0.75 * start.total_s for start in starts)


# -- traffic ---------------------------------------------------------------------------------------------


def _by_local_hour(
    calendar: Calendar, values: np.ndarray[Any, Any], *, workday: bool
) -> np.ndarray[Any, Any]:
    chosen = calendar.workday == workday
    hour = calendar.local_minutes % 1440 // 60
    return np.asarray([values[chosen & (hour == h)].mean() for h in range(24)])


def test_peaks_and_valleys(estate: Estate) -> None:
    calendar = _year(estate)
    for operation, ratio in (("open-design", 10), ("save-design", 10), ("preview", 100), ("type-ahead", 100)):
        rate = arrivals_of(calendar, operation, 1, 1.0).rate
        hours = _by_local_hour(calendar, rate, workday=True)
        assert hours.max() / hours.min() > ratio
        tops = {h for h in range(1, 23) if hours[h] > hours[h - 1] and hours[h] > hours[h + 1]}
        assert tops == {10, 15}
        assert _by_local_hour(calendar, rate, workday=False).max() < 0.2 * hours.max()
    flat = _by_local_hour(calendar, arrivals_of(calendar, "presence", 1, 1.0).rate, workday=True)
    assert flat.max() / flat.min() < 1.5


def test_the_office_is_closed_at_night_and_on_weekends_summer_and_winter(estate: Estate) -> None:
    calendar = _year(estate)
    counts = arrivals_of(calendar, "leave-list", 1, 1.0).counts
    local = calendar.local_minutes % 1440 // 60
    assert counts[~calendar.workday].sum() == 0
    assert counts[(local < 8) | (local >= 18)].sum() == 0
    assert counts.sum() > 10_000
    travelling = arrivals_of(calendar, "expenses", 1, 1.0).counts
    assert travelling[~calendar.workday].sum() > 100
    july = int((datetime(2026, 7, 1, 6, 30, tzinfo=UTC).timestamp() * 1e9 - calendar.start_ns) // MINUTE_NS)
    january = int(
        (datetime(2026, 1, 7, 6, 30, tzinfo=UTC).timestamp() * 1e9 - calendar.start_ns) // MINUTE_NS
    )
    assert calendar.local_minutes[july] % 1440 == 8 * 60 + 30
    assert calendar.local_minutes[january] % 1440 == 7 * 60 + 30


def test_promotion_ended_and_one_service_kept_its_traffic(estate: Estate) -> None:
    calendar = _year(estate)
    began, ended = calendar.promotion
    now = int((calendar.now_ns - calendar.start_ns) // MINUTE_NS)
    assert 20 <= (now - ended) / 1440 <= 23
    means = {}
    for operation in ("shop", "totals"):
        rate = arrivals_of(calendar, operation, 1, 1.0).rate
        before, during, after = (
            rate[a:b].mean()
            for a, b in ((began - 14 * 1440, began), (began, ended), (ended, ended + 14 * 1440))
        )
        means[operation] = (during / before, after / before)
    assert means["shop"][0] > 4
    assert means["shop"][1] == pytest.approx(1.0, abs=0.15)
    assert means["totals"][1] > 3


def test_rare_work_comes_in_bursts_and_batches(estate: Estate) -> None:
    calendar = _year(estate)
    days = 365
    trials = arrivals_of(calendar, "trial-ending", 1, 1.0)
    assert trials.times_ns is not None
    assert len(trials.times_ns) / days == pytest.approx(6, rel=0.2)
    gaps = np.diff(trials.times_ns) / 1e9
    assert np.std(gaps) > 1.3 * np.mean(gaps), "clustered, not Poisson"
    images = arrivals_of(calendar, "compress-images", 1, 1.0)
    active = np.count_nonzero(images.counts) / calendar.minutes
    assert active < 0.01
    assert images.counts[~calendar.workday].sum() == 0
    jobs = arrivals_of(calendar, "nightly-funnels", 1, 1.0)
    assert jobs.times_ns is not None
    assert len(jobs.times_ns) == days


def test_more_rate_is_more_traffic(estate: Estate) -> None:
    calendar = _year(estate)
    for operation in ("open-design", "quote", "compress-images"):
        once, thrice = (arrivals_of(calendar, operation, 1, rate).counts.sum() for rate in (1.0, 3.0))
        assert thrice / once == pytest.approx(3.0, rel=0.1)


# -- what the calls take ---------------------------------------------------------------------------------


def test_suggest_takes_four_hops_just_within_its_budget(stage: Stage) -> None:
    from lowtide.demo.draw import stream
    from lowtide.demo.timing import play

    plan = stage.plans["type-ahead"]
    assert len({node.service for node in plan.nodes}) == 4
    timing = play(plan, np.arange(100_000, dtype=np.float64), stream(9, "suggest"))
    p99 = float(np.quantile(timing.duration_ms[0], 0.99))
    assert 9.5 < p99 < 9.9
    assert stage.work.objectives_ms["suggest"] == 10


def test_latency_bound_services_have_an_objective_just_above_what_they_reach(stage: Stage) -> None:
    for key, service in stage.estate.services.items():
        if service.latency_bound:
            assert 2 <= stage.work.objectives_ms[key] <= 10


def test_old_revision_gets_nothing_and_the_canary_something(showing: Any) -> None:
    taken: dict[str, int] = defaultdict(int)
    for seen in showing.spans:
        if "k8s.deployment.name" in seen.resource:
            taken[seen.resource["k8s.deployment.name"]] += 1
    assert taken["stock-v2"] > 100
    assert taken["stock-v1"] == 0
    assert 0.01 < taken["font-catalog-v42"] / (taken["font-catalog-v41"] + taken["font-catalog-v42"]) < 0.1
    running = {pod.workload.name for pod in showing.stage.fleet.pods}
    assert "stock-v1" in running


def test_silent_services_send_no_spans_but_metrics(showing: Any) -> None:
    speaking = {seen.resource["service.name"] for seen in showing.spans}
    usage: dict[str, list[float]] = defaultdict(list)
    for resource, metric in showing.metrics():
        if metric.name == "container.cpu.usage":
            usage[resource["k8s.container.name"]] += [p.as_double for p in metric.gauge.data_points]
    assert not {"geo-cache", "cold-copy", "postgres", "kafka"} & speaking
    assert max(usage["geo-cache"]) > 10 * min(usage["geo-cache"]), "it works, unseen"
    assert max(usage["cold-copy"]) < 0.02, "it idles"
    probes = {
        s.attributes["user_agent.original"]
        for s in showing.spans
        if s.resource["service.name"] == "dr-standby"
    }
    assert probes == {"kube-probe/1.31"}
    server_kinds = {s.span.kind for s in showing.spans if s.resource["service.name"] == "region-sync"}
    assert server_kinds == {5, 3}


def test_owners_are_on_pods_and_hosts_except_where_nobody_is(showing: Any) -> None:
    truth = planted()
    for seen in showing.spans:
        name = seen.resource["service.name"]
        prefix = "k8s.pod.label." if "k8s.pod.name" in seen.resource else ""
        team = seen.resource.get(f"{prefix}team")
        part_of = seen.resource.get("k8s.pod.label.app.kubernetes.io/part-of" if prefix else "application")
        if name in truth["other"]["unowned"]:
            assert team is None
            assert part_of is None
        else:
            app = showing.stage.estate.services[name].app
            assert part_of == app
            assert team == showing.stage.estate.applications[app].team


def test_staging_is_told_apart(showing: Any) -> None:
    names = {
        s.resource["service.name"]
        for s in showing.spans
        if s.resource["deployment.environment.name"] == "staging"
    }
    assert names == {service_name(key) for key in planted()["other"]["off_hours_environments"]}


def test_truth_file_is_plain_yaml() -> None:
    assert yaml.safe_load(yaml.safe_dump(planted())) == planted()


def test_fleet_addresses_are_unique_enough_for_templates(stage: Stage) -> None:
    fleet: Fleet = stage.fleet
    assert {len(unit.address) for unit in fleet.units} == {14}
    now = stage.settings.now_ns
    live = [pod.address for pod in fleet.pods if pod.created_ns <= now < pod.ended_ns]
    assert len(live) == len(set(live))
