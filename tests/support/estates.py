"""Clusters that nobody planned, to be drawn by hypothesis: nodes and samples of containers on a day."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

GIB = 1024**3
BYTES = st.one_of(st.none(), st.floats(0, 20.0 * GIB))
SAMPLE = st.fixed_dictionaries({
    "container": st.integers(1, 6),
    "at": st.integers(0, 200),
    "cpu_usage": st.one_of(st.none(), st.floats(0, 6)),
    "memory_usage": BYTES,
    "cpu_request": st.floats(0, 6),
    "memory_request": st.floats(0, 20.0 * GIB),
    "node": st.sampled_from(["", "node-1", "node-2", "node-9"]),
})  # fmt: skip
NODE = st.fixed_dictionaries({
    "host_type": st.sampled_from(["", "box", "unheard-of"]),
    "provider": st.just("aws"),
    "region": st.just("eu-west-1"),
    "cluster": st.sampled_from(["fra", "fra", "dub", ""]),
    "node": st.sampled_from(["node-1", "node-2", "node-3"]),
    "cpu_capacity": st.sampled_from([0.0, 0.1, 4.0, 96.0]),
    "memory_capacity": st.sampled_from([0.0, 0.5 * GIB, 16.0 * GIB]),
    "cpu_allocatable": st.sampled_from([0.0, 0.05, 3.9, 500.0]),
    "capacity_type": st.sampled_from(["", "spot", "on-demand"]),
    "at": st.lists(st.integers(0, 200), max_size=5),
})  # fmt: skip


def invented(estate: Any, nodes: list[dict[str, Any]], samples: list[dict[str, Any]]) -> Any:
    """An estate of them (`estate` is the fixture), with two owners."""
    one = estate()
    called = {(node["cluster"], node["node"]): node for node in nodes}
    for number, node in enumerate(called.values(), 1):
        one.node(number, **node)
    for number in range(1, 7):
        one.container(
            number,
            workload=number // 2,
            container="istio-proxy" if number % 2 else "app",
            node=f"node-{number % 3}",
            namespace="kube-system" if number == 6 else "shop",
            cluster="" if number == 5 else "fra",
        )
    seen = set()
    for sample in samples:
        container, at = sample["container"], sample["at"]
        if (container, at) not in seen:
            seen.add((container, at))
            one.sample(container, at, **{k: v for k, v in sample.items() if k not in ("container", "at")})
    one.owner(1, team="red", application="one", service_name="first")
    one.owner(2, team="blue", application="one")
    return one
