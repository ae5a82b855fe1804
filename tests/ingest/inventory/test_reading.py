"""Reading dumps: recorded ones, in pieces of any size, packed or not; and what is never kept."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.inventory.objects import KubernetesObject


def only(make: Any, content: bytes) -> KubernetesObject:
    snapshot = make.read(content)
    assert len(snapshot.objects) == 1
    return snapshot.objects[0]


def extract(one: KubernetesObject) -> Any:
    return json.loads(one.extract)


class TestRecorded:
    def test_a_pod(self, make: Any) -> None:
        one = only(make, (make.data / "pod_list.json").read_bytes())

        assert (one.group, one.version, one.kind) == ("", "v1", "Pod")
        assert (one.owner_kind, one.owner_name) == ("ReplicaSet", "kotsadm-b6cb54c8f")
        assert one.labels["kots.io/backup"] == "velero"
        assert one.created_at is not None
        assert one.created_at.isoformat() == "2023-07-07T05:22:09+00:00"
        found = extract(one)
        assert found.keys() == {"spec", "status"}
        container = found["spec"]["containers"][0]
        assert container == {
            "name": "kotsadm", "image": "kotsadm/kotsadm:v1.100.3",
            "resources": {
                "requests": {"cpu": 0.1, "memory": 100 * 1024**2},
                "limits": {"cpu": 1, "memory": 2 * 1024**3},
            },
            "ports": [{"name": "http", "containerPort": 3000, "protocol": "TCP"}],
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": 3000, "scheme": "HTTP"}, "initialDelaySeconds": 10,
                "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3,
            },
        }  # fmt: skip
        (term,) = found["spec"]["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]  # fmt: skip
        assert term["matchExpressions"][1] == {
            "key": "kubernetes.io/arch", "operator": "NotIn", "values": ["arm64"],
        }  # fmt: skip
        assert found["spec"]["terminationGracePeriodSeconds"] == 30
        assert found["spec"]["tolerations"][0]["tolerationSeconds"] == 300
        assert found["status"]["conditions"] == [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
             "lastTransitionTime": "2023-07-07T05:22:09Z"},
        ]  # fmt: skip

    def test_three_lists_one_after_the_other(self, make: Any) -> None:
        found = {one.kind: one for one in make.read((make.data / "k3s_lists.json").read_bytes()).objects}

        assert found.keys() == {"Node", "Lease", "Deployment"}
        node = extract(found["Node"])
        assert node["status"]["allocatable"]["memory"] == 8146056 * 1024
        assert node["status"]["allocatable"]["ephemeral-storage"] == 50125951961
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.33.4+k3s1"
        assert node["spec"] == {"providerID": "k3s://c9b7eea91"}
        assert extract(found["Lease"])["spec"]["renewTime"] == "2025-09-11T20:55:07.079832Z"
        coredns = extract(found["Deployment"])
        assert coredns["annotations"] == {"deployment.kubernetes.io/revision": "2"}
        assert coredns["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": "25%"}
        pod = coredns["spec"]["template"]["spec"]
        assert pod["volumes"] == [{"name": "config-volume", "configMap": {}}]
        assert pod["priorityClassName"] == "system-cluster-critical"
        assert pod["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"

    def test_budgets_and_claims(self, make: Any) -> None:
        budgets = make.read((make.data / "kubectl_pdbs.json").read_bytes()).objects
        assert [(one.group, one.version, one.kind) for one in budgets] == [
            ("policy", "v1beta1", "PodDisruptionBudget")
        ] * 2
        assert [extract(one)["spec"].get("minAvailable") for one in budgets] == [None, "50%"]
        assert extract(budgets[0])["spec"]["maxUnavailable"] == 1
        assert "annotations" not in extract(budgets[0])

        claim = extract(only(make, (make.data / "kubectl_statefulsets.json").read_bytes()))
        (template,) = claim["spec"]["volumeClaimTemplates"]
        assert template["spec"]["resources"] == {"requests": {"storage": 1024**3}}
        assert template["spec"]["storageClassName"] == "thin-disk"

    def test_nothing_is_kept_of_variables_commands_and_other_annotations(
        self, make: Any, recorded: Path
    ) -> None:
        """Words of the files that are in such places only."""
        said = "".join(one.extract for one in make.read(recorded.read_bytes()).objects)

        for word in ("env", "2SEMUZ2Va7", "minio", "/restore-s3.sh", "-conf", "last-applied", "node-args",
                     "velero.io/command", "release-name", "securityContext", "managedFields"):  # fmt: skip
            assert word not in said


class TestShapes:
    def test_any_pieces_give_the_same(self, make: Any, recorded: Path) -> None:
        content = recorded.read_bytes()
        whole = make.read(content)

        for size in (1, 3, 1000):
            pieces = [content[at : at + size] for at in range(0, len(content), size)]
            assert make.read(pieces) == whole

    @given(st.data())
    def test_any_json_is_found_again(self, make: Any, data: st.DataObject) -> None:
        """Labels of any text, cut anywhere, written in several ways."""
        texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
        labels = data.draw(st.lists(st.dictionaries(texts, texts, max_size=3), min_size=1, max_size=4))
        objects = [make.thing("Namespace", f"n{at}", labels=one) for at, one in enumerate(labels)]
        style = data.draw(
            st.sampled_from([{"indent": 4}, {"separators": (",", ":")}, {"ensure_ascii": False}])
        )
        content = json.dumps({"items": objects, "kind": "List"}, **style).encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
        ends = [0, *cuts, len(content)]

        snapshot = make.read([content[a:b] for a, b in pairwise(ends)])

        assert [one.labels for one in snapshot.objects] == labels

    def test_gzip_also_of_several_members(self, make: Any) -> None:
        parts = [make.listed(make.thing("Pod", "a")), make.listed(make.thing("Pod", "b"))]
        packed = b"".join(gzip.compress(part) for part in parts)

        for size in (1, 10_000):
            pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
            assert [one.name for one in make.read(pieces).objects] == ["a", "b"]

    def test_a_single_object_and_a_mark_in_front(self, make: Any) -> None:
        content = b"\xef\xbb\xbf" + json.dumps(make.thing("Pod", "a")).encode()

        assert only(make, content).name == "a"

    def test_a_list_of_the_api_says_for_its_objects_what_they_are(self, make: Any) -> None:
        items = [{"metadata": {"name": "a", "namespace": "n"}, "spec": {"replicas": 3}}]
        content = json.dumps({"kind": "DeploymentList", "apiVersion": "apps/v1", "items": items}).encode()

        one = only(make, content)

        assert (one.group, one.version, one.kind) == ("apps", "v1", "Deployment")
        assert extract(one) == {"spec": {"replicas": 3}}

    def test_the_last_of_two_counts(self, make: Any) -> None:
        one, other = (make.thing("Deployment", "a", version="apps/v1", spec={"replicas": n}) for n in (1, 2))

        snapshot = make.read(make.listed(one) + b"\n" + make.listed(other, make.thing("Pod", "a")))

        assert snapshot.repeated == 1
        assert [(one.kind, extract(one)) for one in snapshot.objects] == [
            ("Deployment", {"spec": {"replicas": 2}}), ("Pod", {}),
        ]  # fmt: skip

    def test_secrets_are_counted_and_gone(self, make: Any) -> None:
        secret = make.thing("Secret", "hidden", data={"password": "aHVudGVyMg=="})
        config = make.thing("ConfigMap", "settings", data={"x": "y"})
        foreign = make.thing("Secret", "not-one", version="example.com/v1", data={"password": "aHVudGVyMg=="})

        snapshot = make.read(make.listed(secret, config, secret, foreign))

        assert dict(snapshot.left_out) == {("", "Secret"): 2, ("", "ConfigMap"): 1}
        assert [(one.group, one.name, one.extract) for one in snapshot.objects] == [
            ("example.com", "not-one", "{}")
        ]

    def test_webhooks_routes_and_autoscalers(self, make: Any) -> None:
        webhook = make.thing(
            "ValidatingWebhookConfiguration", "w", version="admissionregistration.k8s.io/v1",
            webhooks=[{"name": "a.b", "failurePolicy": "Fail", "timeoutSeconds": 10, "clientConfig": {
                "caBundle": "LS0t", "service": {"namespace": "n", "name": "s", "path": "/x"}}}],
        )  # fmt: skip
        route = make.thing(
            "HTTPRoute", "r", version="gateway.networking.k8s.io/v1",
            spec={"rules": [{"matches": [{"path": {"value": "/"}, "headers": [{"value": "token"}]}],
                             "backendRefs": [{"name": "shop", "port": 80}]}]},
        )  # fmt: skip
        scaler = make.thing(
            "HorizontalPodAutoscaler", "h", version="autoscaling/v2",
            spec={"maxReplicas": 4, "metrics": [{"type": "Pods", "pods": {
                "metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "500m"}}}]},
        )  # fmt: skip

        found = [extract(one) for one in make.read(make.listed(webhook, route, scaler)).objects]

        assert found[0]["webhooks"] == [{
            "name": "a.b", "failurePolicy": "Fail", "timeoutSeconds": 10,
            "clientConfig": {"service": {"namespace": "n", "name": "s"}},
        }]  # fmt: skip
        assert found[1]["spec"]["rules"][0] == {
            "matches": [{"path": {"value": "/"}}], "backendRefs": [{"name": "shop", "port": 80}],
        }  # fmt: skip
        assert found[2]["spec"]["metrics"][0]["pods"]["target"]["averageValue"] == 0.5
