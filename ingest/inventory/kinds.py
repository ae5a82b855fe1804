"""What is kept of each kind of object, field by field: an allow-list, under Kubernetes' own names. What is
not named here is never stored: environment variables, commands, arguments, headers, certificates.

Kinds that are not named keep their metadata only. The trap: kinds of different groups share names (a Service
of Knative), so both make the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ingest.inventory.fields import Each, Shape, flag, moment, quantity, text, whole, whole_or_text

_TEXTS: Final = Each(text)
_QUANTITIES: Final = Each(quantity)
_EXPRESSIONS: Final[Shape] = [{"key": text, "operator": text, "values": [text]}]
_SELECTOR: Final[Shape] = {"matchLabels": _TEXTS, "matchExpressions": _EXPRESSIONS}
_CONDITIONS: Final[Shape] = [{"type": text, "status": text, "reason": text, "lastTransitionTime": moment}]

_NODE_TERM: Final[Shape] = {"matchExpressions": _EXPRESSIONS, "matchFields": _EXPRESSIONS}
_NODE_SELECTOR: Final[Shape] = {"nodeSelectorTerms": [_NODE_TERM]}
_POD_TERM: Final[Shape] = {
    "labelSelector": _SELECTOR, "namespaceSelector": _SELECTOR, "namespaces": [text], "topologyKey": text,
    "matchLabelKeys": [text], "mismatchLabelKeys": [text],
}  # fmt: skip
_POD_AFFINITY: Final[Shape] = {
    "requiredDuringSchedulingIgnoredDuringExecution": [_POD_TERM],
    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": whole, "podAffinityTerm": _POD_TERM}],
}
_AFFINITY: Final[Shape] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": _NODE_SELECTOR,
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": whole, "preference": _NODE_TERM}],
    },
    "podAffinity": _POD_AFFINITY,
    "podAntiAffinity": _POD_AFFINITY,
}
_HANDLER: Final[Mapping[str, Shape]] = {
    "httpGet": {"path": text, "port": whole_or_text, "scheme": text},
    "tcpSocket": {"port": whole_or_text},
    "grpc": {"port": whole, "service": text},
    "exec": {},
    "sleep": {"seconds": whole},
}
_PROBE: Final[Shape] = {
    **_HANDLER, "initialDelaySeconds": whole, "periodSeconds": whole, "timeoutSeconds": whole,
    "successThreshold": whole, "failureThreshold": whole, "terminationGracePeriodSeconds": whole,
}  # fmt: skip
_CONTAINER: Final[Shape] = {
    "name": text, "image": text, "restartPolicy": text,
    "resources": {"requests": _QUANTITIES, "limits": _QUANTITIES},
    "ports": [{"name": text, "containerPort": whole, "hostPort": whole, "protocol": text}],
    "readinessProbe": _PROBE, "livenessProbe": _PROBE, "startupProbe": _PROBE,
    "lifecycle": {"preStop": _HANDLER, "postStart": _HANDLER},
}  # fmt: skip
_CLAIM_SPEC: Final[Shape] = {
    "accessModes": [text], "storageClassName": text, "volumeName": text, "volumeMode": text,
    "resources": {"requests": _QUANTITIES},
}  # fmt: skip
_VOLUME: Final[Shape] = {
    "name": text,
    "persistentVolumeClaim": {"claimName": text, "readOnly": flag},
    "ephemeral": {"volumeClaimTemplate": {"spec": _CLAIM_SPEC}},
    "emptyDir": {"medium": text, "sizeLimit": quantity},
    "hostPath": {"path": text, "type": text},
    "nfs": {"server": text, "path": text, "readOnly": flag},
    "csi": {"driver": text, "readOnly": flag},
    "configMap": {}, "secret": {}, "projected": {}, "downwardAPI": {},
}  # fmt: skip
_POD_SPEC: Final[Shape] = {
    "containers": [_CONTAINER], "initContainers": [_CONTAINER], "volumes": [_VOLUME],
    "serviceAccountName": text, "restartPolicy": text, "terminationGracePeriodSeconds": whole,
    "activeDeadlineSeconds": whole, "nodeName": text, "nodeSelector": _TEXTS, "affinity": _AFFINITY,
    "tolerations": [
        {"key": text, "operator": text, "value": text, "effect": text, "tolerationSeconds": whole}
    ],
    "topologySpreadConstraints": [{
        "maxSkew": whole, "minDomains": whole, "topologyKey": text, "whenUnsatisfiable": text,
        "labelSelector": _SELECTOR, "matchLabelKeys": [text], "nodeAffinityPolicy": text,
        "nodeTaintsPolicy": text,
    }],
    "priorityClassName": text, "priority": whole, "preemptionPolicy": text, "schedulerName": text,
    "runtimeClassName": text, "overhead": _QUANTITIES, "hostNetwork": flag, "dnsPolicy": text,
    "resources": {"requests": _QUANTITIES, "limits": _QUANTITIES},
}  # fmt: skip
KEPT_ANNOTATIONS: Final = frozenset({
    "autoscaling.knative.dev/class", "autoscaling.knative.dev/max-scale",
    "autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/target",
    "cluster-autoscaler.kubernetes.io/safe-to-evict", "deployment.kubernetes.io/revision",
    "ingressclass.kubernetes.io/is-default-class", "karpenter.sh/do-not-disrupt",
    "linkerd.io/inject", "sidecar.istio.io/inject", "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyMemory", "storageclass.kubernetes.io/is-default-class",
})  # fmt: skip
"""Annotations that say how something is run. Others may hold anything, so none of them is kept."""
ANNOTATIONS: Final = Each(text, only=KEPT_ANNOTATIONS.__contains__)
_TEMPLATE: Final[Shape] = {
    "metadata": {"labels": _TEXTS, "annotations": ANNOTATIONS},
    "spec": _POD_SPEC,
}
_ROLLING: Final[Shape] = {
    "type": text,
    "rollingUpdate": {"maxSurge": whole_or_text, "maxUnavailable": whole_or_text, "partition": whole},
}
_REPLICA_STATUS: Final[Shape] = {
    "replicas": whole, "readyReplicas": whole, "availableReplicas": whole, "updatedReplicas": whole,
    "unavailableReplicas": whole, "currentReplicas": whole, "desiredNumberScheduled": whole,
    "currentNumberScheduled": whole, "numberReady": whole, "numberAvailable": whole,
}  # fmt: skip
_REPLICATED: Final[Mapping[str, Shape]] = {
    "spec": {
        "replicas": whole, "selector": _SELECTOR, "strategy": _ROLLING, "updateStrategy": _ROLLING,
        "minReadySeconds": whole, "progressDeadlineSeconds": whole, "revisionHistoryLimit": whole,
        "paused": flag, "serviceName": text, "podManagementPolicy": text, "template": _TEMPLATE,
        "volumeClaimTemplates": [{"metadata": {"name": text}, "spec": _CLAIM_SPEC}],
    },
    "status": _REPLICA_STATUS,
}  # fmt: skip
_JOB_SPEC: Final[Shape] = {
    "parallelism": whole, "completions": whole, "completionMode": text, "backoffLimit": whole,
    "activeDeadlineSeconds": whole, "ttlSecondsAfterFinished": whole, "suspend": flag, "template": _TEMPLATE,
}  # fmt: skip
_METRIC_TARGET: Final[Shape] = {
    "type": text, "averageUtilization": whole, "averageValue": quantity, "value": quantity,
}  # fmt: skip
_METRIC: Final[Shape] = {"name": text, "selector": _SELECTOR}
_TARGET_REF: Final[Shape] = {"apiVersion": text, "kind": text, "name": text}
_SCALING_RULES: Final[Shape] = {
    "stabilizationWindowSeconds": whole, "selectPolicy": text,
    "policies": [{"type": text, "value": whole, "periodSeconds": whole}],
}  # fmt: skip
_INGRESS_BACKEND: Final[Shape] = {
    "service": {"name": text, "port": {"name": text, "number": whole}},
    "resource": {"apiGroup": text, "kind": text, "name": text},
}
_ROUTE_REF: Final[Shape] = {
    "group": text, "kind": text, "namespace": text, "name": text, "sectionName": text, "port": whole,
    "weight": whole,
}  # fmt: skip
_ROUTE: Final[Mapping[str, Shape]] = {
    "spec": {
        "parentRefs": [_ROUTE_REF],
        "hostnames": [text],
        "rules": [{"backendRefs": [_ROUTE_REF], "matches": [{"path": {"type": text, "value": text}}]}],
    }
}
_WEBHOOKS: Final[Mapping[str, Shape]] = {
    "webhooks": [{
        "name": text, "failurePolicy": text, "matchPolicy": text, "sideEffects": text,
        "timeoutSeconds": whole, "reinvocationPolicy": text, "namespaceSelector": _SELECTOR,
        "objectSelector": _SELECTOR,
        "clientConfig": {"service": {"namespace": text, "name": text, "port": whole}},
        "rules": [{
            "apiGroups": [text], "apiVersions": [text], "operations": [text], "resources": [text],
            "scope": text,
        }],
    }]
}  # fmt: skip

KINDS: Final[Mapping[tuple[str, str], Mapping[str, Shape]]] = {
    ("", "Pod"): {
        "spec": _POD_SPEC,
        "status": {
            "phase": text, "qosClass": text, "startTime": moment, "conditions": _CONDITIONS,
            "containerStatuses": [{"name": text, "ready": flag, "started": flag, "restartCount": whole}],
        },
    },
    **{("apps", kind): _REPLICATED for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")},
    ("batch", "Job"): {
        "spec": _JOB_SPEC,
        "status": {
            "active": whole, "succeeded": whole, "failed": whole, "startTime": moment,
            "completionTime": moment,
        },
    },
    ("batch", "CronJob"): {
        "spec": {
            "schedule": text, "timeZone": text, "concurrencyPolicy": text, "suspend": flag,
            "startingDeadlineSeconds": whole, "successfulJobsHistoryLimit": whole,
            "failedJobsHistoryLimit": whole, "jobTemplate": {"spec": _JOB_SPEC},
        },
        "status": {"lastScheduleTime": moment, "lastSuccessfulTime": moment},
    },
    ("", "Service"): {
        "spec": {
            "type": text, "clusterIP": text, "externalName": text, "selector": _TEXTS,
            "ports": [{
                "name": text, "port": whole, "targetPort": whole_or_text, "nodePort": whole, "protocol": text,
                "appProtocol": text,
            }],
            "sessionAffinity": text, "externalTrafficPolicy": text, "internalTrafficPolicy": text,
            "loadBalancerClass": text, "publishNotReadyAddresses": flag,
        },
        "status": {"loadBalancer": {"ingress": [{"ip": text, "hostname": text}]}},
    },
    ("networking.k8s.io", "Ingress"): {
        "spec": {
            "ingressClassName": text, "defaultBackend": _INGRESS_BACKEND, "tls": [{"hosts": [text]}],
            "rules": [{
                "host": text,
                "http": {"paths": [{"path": text, "pathType": text, "backend": _INGRESS_BACKEND}]},
            }],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": text, "hostname": text}]}},
    },
    ("networking.k8s.io", "IngressClass"): {"spec": {"controller": text}},
    ("gateway.networking.k8s.io", "GatewayClass"): {"spec": {"controllerName": text}},
    ("gateway.networking.k8s.io", "Gateway"): {
        "spec": {
            "gatewayClassName": text,
            "listeners": [{"name": text, "hostname": text, "port": whole, "protocol": text}],
        }
    },
    ("gateway.networking.k8s.io", "GRPCRoute"): {
        "spec": {"parentRefs": [_ROUTE_REF], "hostnames": [text], "rules": [{"backendRefs": [_ROUTE_REF]}]}
    },
    **{
        ("gateway.networking.k8s.io", kind): _ROUTE
        for kind in ("HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute")
    },
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "spec": {
            "group": text, "scope": text, "names": {"kind": text, "plural": text},
            "versions": [{"name": text, "served": flag, "storage": flag}],
        }
    },
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _WEBHOOKS,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _WEBHOOKS,
    ("coordination.k8s.io", "Lease"): {
        "spec": {
            "holderIdentity": text, "leaseDurationSeconds": whole, "leaseTransitions": whole,
            "acquireTime": moment, "renewTime": moment,
        }
    },
    ("policy", "PodDisruptionBudget"): {
        "spec": {
            "minAvailable": whole_or_text, "maxUnavailable": whole_or_text, "selector": _SELECTOR,
            "unhealthyPodEvictionPolicy": text,
        },
        "status": {
            "currentHealthy": whole, "desiredHealthy": whole, "disruptionsAllowed": whole,
            "expectedPods": whole,
        },
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "spec": {
            "minReplicas": whole, "maxReplicas": whole, "scaleTargetRef": _TARGET_REF,
            "targetCPUUtilizationPercentage": whole,
            "metrics": [{
                "type": text,
                "resource": {"name": text, "target": _METRIC_TARGET},
                "containerResource": {"name": text, "container": text, "target": _METRIC_TARGET},
                "pods": {"metric": _METRIC, "target": _METRIC_TARGET},
                "object": {"metric": _METRIC, "describedObject": _TARGET_REF, "target": _METRIC_TARGET},
                "external": {"metric": _METRIC, "target": _METRIC_TARGET},
            }],
            "behavior": {"scaleUp": _SCALING_RULES, "scaleDown": _SCALING_RULES},
        },
        "status": {"currentReplicas": whole, "desiredReplicas": whole, "lastScaleTime": moment},
    },
    ("keda.sh", "ScaledObject"): {
        "spec": {
            "scaleTargetRef": _TARGET_REF, "minReplicaCount": whole, "maxReplicaCount": whole,
            "idleReplicaCount": whole, "pollingInterval": whole, "cooldownPeriod": whole,
            "triggers": [{"type": text, "name": text}],
        }
    },
    ("", "Node"): {
        "spec": {
            "providerID": text, "unschedulable": flag,
            "taints": [{"key": text, "value": text, "effect": text, "timeAdded": moment}],
        },
        "status": {
            "capacity": _QUANTITIES, "allocatable": _QUANTITIES, "conditions": _CONDITIONS,
            "nodeInfo": {
                "architecture": text, "operatingSystem": text, "osImage": text, "kernelVersion": text,
                "kubeletVersion": text, "containerRuntimeVersion": text,
            },
        },
    },
    ("storage.k8s.io", "StorageClass"): {
        "provisioner": text, "reclaimPolicy": text, "volumeBindingMode": text, "allowVolumeExpansion": flag,
        "parameters": Each(text, only=frozenset({
            "type", "skuName", "skuname", "storageaccounttype", "iops", "iopsPerGB", "throughput",
            "replication-type",
        }).__contains__),
    },
    ("", "PersistentVolumeClaim"): {
        "spec": _CLAIM_SPEC, "status": {"phase": text, "capacity": _QUANTITIES},
    },
    ("", "PersistentVolume"): {
        "spec": {
            "capacity": _QUANTITIES, "accessModes": [text], "storageClassName": text, "volumeMode": text,
            "persistentVolumeReclaimPolicy": text, "claimRef": {"namespace": text, "name": text},
            "csi": {"driver": text, "volumeHandle": text}, "nodeAffinity": {"required": _NODE_SELECTOR},
        },
        "status": {"phase": text},
    },
    ("", "Namespace"): {"status": {"phase": text}},
    ("scheduling.k8s.io", "PriorityClass"): {
        "value": whole, "globalDefault": flag, "preemptionPolicy": text,
    },
}  # fmt: skip
"""By API group and kind."""

NEVER_KEPT: Final[Mapping[tuple[str, str], str]] = {
    ("", "Secret"): "credentials",
    ("", "ConfigMap"): "may hold credentials",
    ("", "Event"): "what happened, not what is there",
    ("events.k8s.io", "Event"): "what happened, not what is there",
}
"""Kinds of which nothing at all is kept, not even the names; and why."""

ASKED_FOR: Final = (
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Service", "Ingress",
    "HorizontalPodAutoscaler", "PodDisruptionBudget", "PersistentVolumeClaim", "PersistentVolume",
    "StorageClass", "Node", "Namespace", "PriorityClass", "Lease", "CustomResourceDefinition",
    "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
)  # fmt: skip
"""The kinds that the documented kubectl command asks for: there on every cluster, for whoever may read it."""
