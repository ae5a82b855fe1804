"""Dumps that are wrong: everything is named by line, object and field, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.inventory.errors import InventoryError, InventoryTooLargeError
from ingest.inventory.fields import quantity


def refused(make: Any, content: bytes, **limits: int) -> list[str]:
    with pytest.raises(InventoryError) as raised:
        make.read(content, **limits)
    assert "Nothing was imported" in str(raised.value)
    return list(raised.value.problems)


def container(**fields: Any) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [{"name": "c"}, {"name": "d", **fields}]}}}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"replicas": "three"}, "spec.replicas: 'three' is no whole number"),
        ({"replicas": True}, "spec.replicas: True is no whole number"),
        ({"replicas": 1.5}, "spec.replicas: 1.5 is no whole number"),
        ({"paused": "no"}, "spec.paused: 'no' is neither true nor false"),
        ({"selector": []}, "spec.selector: [] is no object"),
        ("text", "spec: 'text' is no object"),
        ({"template": {"spec": {"containers": {}}}}, "spec.template.spec.containers: {} is no list"),
        (
            container(resources={"requests": {"cpu": "1 core"}}),
            "spec.template.spec.containers[1].resources.requests.cpu: '1 core' is no quantity",
        ),
        (container(image=7), "spec.template.spec.containers[1].image: 7 is no text"),
        (container(image="half \ud83d"), "spec.template.spec.containers[1].image: 'half \\ud83d' is no text"),
    ],
)
def test_a_broken_field_is_named(make: Any, spec: Any, problem: str) -> None:
    good = make.thing("Pod", "before")
    bad = make.thing("Deployment", "front", version="apps/v1", spec=spec)
    content = make.listed(good, bad)
    line = content[: content.index(b'"front"')].count(b"\n") - 3  # counted from 1; it begins four above

    (found,) = refused(make, content)

    assert found.startswith(f"cluster.json:{line}: items[1]: Deployment shop/front: {problem}"), found


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (7, "an item is an object of Kubernetes, and this is none"),
        (None, "an item is an object of Kubernetes, and this is none"),
        ({}, "kind: there is none"),
        ({"kind": "Pod"}, "apiVersion: there is none"),
        ({"kind": 3, "apiVersion": "v1"}, "kind: there is none"),
        ({"kind": "Pod", "apiVersion": "v1"}, "Pod: metadata.name: there is none"),
        ({"kind": "Pod", "apiVersion": "v1", "metadata": []}, "Pod: metadata: [] is no object"),
        (
            {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "creationTimestamp": "today"}},
            "Pod a: metadata.creationTimestamp: 'today' is no time",
        ),
        (
            {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"x": 1}}},
            "Pod a: metadata.labels.x: 1 is no text",
        ),
        (
            {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"half \ud83d": "x"}}},
            "Pod a: metadata.labels: 'half \\ud83d' is no text: it has half of a character",
        ),
        (
            {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {"name": "a", "creationTimestamp": "1970-01-01T00:00:00+14:00"},
            },
            "Pod a: metadata.creationTimestamp: '1970-01-01T00:00:00+14:00' is no time",
        ),
    ],
)
def test_what_is_no_object_is_named(make: Any, item: Any, problem: str) -> None:
    found = refused(make, json.dumps({"items": [item]}).encode())

    assert f"cluster.json:1: items[0]: {problem}" in found


def test_all_problems_come_at_once_and_not_too_many(make: Any) -> None:
    bad = make.thing("Deployment", "a", version="apps/v1", spec={"replicas": "x", "paused": "y"})
    assert len(refused(make, make.listed(bad, make.thing("Pod", "b"), {}))) == 4

    many = refused(make, make.listed(*[bad] * 100))
    assert len(many) == 101
    assert many[-1] == "cluster.json: and perhaps more; it was read until there"


NO_JSON = "cluster.json:1: this is no JSON of kubectl"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cluster.json: there is no object in it that could be kept"),
        (b"  \n", "cluster.json: there is no object in it that could be kept"),
        (b"{}", "cluster.json:1: kind: there is none"),
        (b'{"items": [], "kind": "List"}', "cluster.json: there is no object in it that could be kept"),
        (b"apiVersion: v1\nitems: []\n", f"{NO_JSON}: an object begins with {{"),
        (b"NAME  READY\nshop  1/1\n", f"{NO_JSON}: an object begins with {{"),
        (b"[1]", f"{NO_JSON}: an object begins with {{"),
        (b'{\n"items": [\n{"kind": }\n]}', "cluster.json:3: this is no JSON of kubectl: expecting value"),
        (b'{"items": [{}', f"{NO_JSON}: it ends too early"),
        (b'{"items": [{}}', f"{NO_JSON}: behind an item comes another one, or ]"),
        (b'{"items"', f"{NO_JSON}: it ends too early"),
        (b'{"items": [{"a": "b', f"{NO_JSON}: unterminated string"),
        (b'{"a": 1 "b": 2}', f"{NO_JSON}: behind a field comes another one, or }}"),
        (b"{1: 2}", f"{NO_JSON}: the name of a field is text"),
        (b'{"items": [' + b"[" * 200_000, f"{NO_JSON}: it is nested too deeply"),
        (b'{"items": [' + b"9" * 5000 + b"]}", f"{NO_JSON}: a number has too many digits"),
        (b"\x80\x81", "cluster.json: this is not UTF-8, and no gzip"),
        (b'{"items": [\n"\xff"]}', "cluster.json: this is not UTF-8, and no gzip"),
        (b"\x1f\x8bnothing packed", "cluster.json: this gzip file cannot be unpacked"),
        (gzip.compress(b'{"items": []}', mtime=0)[:-9], "cluster.json: the gzip file ends too early"),
        (gzip.compress(b"{}", mtime=0) + b"tail", "cluster.json: this gzip file cannot be unpacked"),
    ],
)
def test_what_is_no_dump_is_refused(make: Any, content: bytes, problem: str) -> None:
    whole = refused(make, content)
    size = 7 if len(content) < 10_000 else 10_000
    pieces = refused(make, [content[at : at + size] for at in range(0, len(content), size)])

    assert whole[0].startswith(problem), whole
    assert not whole[0].endswith(" at"), whole
    assert pieces == whole


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(make: Any, content: bytes) -> None:
    told: list[str] = []
    for given_ in (content, b'{"items": [' + content, b'{"items": [{"kind": "Pod", "metadata": ' + content):
        try:
            make.read(given_)
        except InventoryError as error:
            told += error.problems
    assert all(problem.startswith("cluster.json") for problem in told)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metadata", "name", "labels", "spec", "status", "template", "containers", "resources", "cpu",
                 "requests", "volumes", "ownerReferences", "controller", "replicas", "webhooks"]
            ),
            inner, max_size=4,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_object_is_refused_or_read(make: Any, content: Any) -> None:
    value = content if isinstance(content, dict) else {"spec": content}
    for kind, version in (("Pod", "v1"), ("Deployment", "apps/v1"), ("Ingress", "networking.k8s.io/v1")):
        item = {"kind": kind, "apiVersion": version, **value}
        with suppress(InventoryError):
            make.read(json.dumps({"items": [item]}).encode())


class TestLimits:
    def test_a_bomb_is_refused_with_little_memory(self, make: Any) -> None:
        bomb = gzip.compress(b'{"items": [' + b" " * 200_000_000)
        tracemalloc.start()
        try:
            (found,) = refused(make, bomb, unpacked_bytes=100_000_000)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert found == "cluster.json has more than 100000000 bytes"
        assert most < 20_000_000

    def test_an_object_has_a_largest_size(self, make: Any) -> None:
        long = make.thing("Pod", "a", spec={"nodeName": "x" * 3000})
        pieces = [make.listed(make.thing("Pod", "b"), long)[at:][:500] for at in range(0, 4000, 500)]

        with pytest.raises(InventoryTooLargeError) as raised:
            make.read(pieces, object_characters=2000)

        assert "is no JSON, or an object of more than 2000 characters" in str(raised.value)

    def test_fields_of_a_document_have_a_largest_size_together(self, make: Any) -> None:
        content = json.dumps({f"field{at}": "x" * 100 for at in range(50)}).encode()

        with pytest.raises(InventoryTooLargeError):
            make.read(content, object_characters=2000)

    def test_what_is_kept_is_bounded(self, make: Any) -> None:
        content = make.listed(*(make.thing("Pod", f"p{at}") for at in range(100)))

        with pytest.raises(InventoryTooLargeError) as raised:
            make.read(content, kept_bytes=20_000)

        assert "more is needed of them than is kept of a snapshot (20000 bytes)" in str(raised.value)

    def test_names_count_as_what_is_kept(self, make: Any) -> None:
        with pytest.raises(InventoryTooLargeError):
            make.read(make.listed(make.thing("Pod", "p" * 20_000)), kept_bytes=20_000)

    def test_the_length_of_a_dump_takes_no_memory(self, make: Any) -> None:
        """50 MB of objects of which nothing is kept."""
        secret = make.listed(*(make.thing("Secret", f"s{at}", data={"k": "x" * 10_000}) for at in range(100)))
        pieces = [make.listed(make.thing("Pod", "a")), *[secret] * 50]
        tracemalloc.start()
        try:
            snapshot = make.read(pieces)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert snapshot.left_out["", "Secret"] == 5000
        assert most < 10_000_000


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0), ("2", 2), ("250m", 0.25), ("1500m", 1.5), ("100n", 1e-7), ("5u", 5e-6), ("0.5", 0.5),
        (".5", 0.5), ("1.", 1), ("64Mi", 67108864), ("1.5Gi", 1610612736), ("2Ti", 2199023255552),
        ("1k", 1000), ("1M", 10**6), ("3G", 3 * 10**9), ("1E", 10**18), ("1Ei", 2**60), ("1e3", 1000),
        ("12E2", 1200), ("5e-1", 0.5), (3, 3), (0.5, 0.5),
        ("128974848", 128974848), ("129M", 129000000), ("123Mi", 128974848),
    ],
)  # fmt: skip
def test_quantities(text: Any, amount: float) -> None:
    assert quantity(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "1 Gi",
        "-1",
        "+1",
        "1GiB",
        "1e",
        "1e1234",
        "9e99",
        "1_000",
        "٣",
        True,
        None,
        [],
        "1" * 100,
        float("nan"),
    ],
)
def test_no_quantities(text: Any) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)
