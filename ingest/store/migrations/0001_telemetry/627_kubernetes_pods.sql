-- Pods as they were last on each day (UTC), by kube-state-metrics: who made them (owner), who made that (workload: the Deployment of
-- a ReplicaSet, the CronJob of a Job), what their containers ask for together, and their life: created, accepted by its node
-- (started_at), ready first that day as far as the ends of hours tell (first_ready_at) and last, done for good (ended_at). Both times of
-- ready need version 2.8 or later.
CREATE VIEW IF NOT EXISTS kubernetes_pods AS
SELECT
    pods.tenant AS tenant,
    pods.day AS day,
    pods.cluster AS cluster,
    pods.namespace AS namespace,
    pods.pod AS pod,
    pods.uid AS uid,
    pods.node AS node,
    pods.owner_kind AS owner_kind,
    pods.owner_name AS owner_name,
    multiIf(makers.kind != '', makers.kind, pods.owner_kind IN ('', 'Node', '<none>'), 'Pod', pods.owner_kind) AS workload_kind,
    multiIf(makers.kind != '', makers.name, pods.owner_kind IN ('', 'Node', '<none>'), pods.pod, pods.owner_name)
        AS workload_name,
    pods.phase AS phase,
    pods.cpu_request_cores AS cpu_request_cores,
    pods.cpu_limit_cores AS cpu_limit_cores,
    pods.memory_request_bytes AS memory_request_bytes,
    pods.memory_limit_bytes AS memory_limit_bytes,
    pods.restarts AS restarts,
    pods.created_at AS created_at,
    pods.started_at AS started_at,
    pods.first_ready_at AS first_ready_at,
    pods.ready_at AS ready_at,
    pods.ended_at AS ended_at,
    pods.claims AS claims,
    pods.labels AS labels,
    pods.seen_at AS seen_at
FROM
(
    SELECT
        tenant,
        day,
        cluster,
        namespace,
        last.name AS pod,
        last.uid AS uid,
        anyIf(last.labels['node'], fact = 'kube_pod_info') AS node,
        anyIf(last.labels['owner_kind'], fact = 'kube_pod_owner') AS owner_kind,
        anyIf(last.labels['owner_name'], fact = 'kube_pod_owner') AS owner_name,
        anyIf(last.labels['phase'], fact = 'kube_pod_status_phase') AS phase,
        sumIf(last.value, fact = 'kube_pod_container_resource_requests' AND part LIKE '%/cpu') AS cpu_request_cores,
        sumIf(last.value, fact = 'kube_pod_container_resource_limits' AND part LIKE '%/cpu') AS cpu_limit_cores,
        sumIf(last.value, fact = 'kube_pod_container_resource_requests' AND part LIKE '%/memory') AS memory_request_bytes,
        sumIf(last.value, fact = 'kube_pod_container_resource_limits' AND part LIKE '%/memory') AS memory_limit_bytes,
        toUInt64(greatest(sumIf(last.value, fact = 'kube_pod_container_status_restarts_total'), 0)) AS restarts,
        maxIf(last.value, fact = 'kube_pod_created') AS created_s,
        maxIf(last.value, fact = 'kube_pod_start_time') AS started_s,
        minIf(last.lowest, fact = 'kube_pod_status_ready_time' AND last.lowest > 0) AS first_ready_s,
        maxIf(last.value, fact = 'kube_pod_status_ready_time') AS ready_s,
        maxIf(last.value, fact = 'kube_pod_completion_time') AS ended_s,
        ${moment(created_s)} AS created_at,
        ${moment(started_s)} AS started_at,
        ${moment(first_ready_s)} AS first_ready_at,
        ${moment(ready_s)} AS ready_at,
        ${moment(ended_s)} AS ended_at,
        groupUniqArrayIf(last.part, fact = 'kube_pod_spec_volumes_persistentvolumeclaims_info') AS claims,
        anyIf(last.labels, fact = 'kube_pod_labels') AS labels,
        max(last.seen_at) AS seen_at
    FROM
    (
        ${last_facts(kube_pod_%)}
    ) AS last
    GROUP BY tenant, day, cluster, namespace, pod, uid
) AS pods
LEFT JOIN
(
    SELECT
        tenant,
        day,
        cluster,
        namespace,
        if(fact = 'kube_job_owner', 'Job', 'ReplicaSet') AS made_kind,
        last.name AS made_name,
        if(last.labels['owner_kind'] = '<none>', '', last.labels['owner_kind']) AS kind,
        last.labels['owner_name'] AS name
    FROM
    (
        ${last_facts(kube_%_owner)}
    ) AS last
    WHERE fact IN ('kube_replicaset_owner', 'kube_job_owner')
) AS makers
    ON pods.tenant = makers.tenant
    AND pods.day = makers.day
    AND pods.cluster = makers.cluster
    AND pods.namespace = makers.namespace
    AND pods.owner_kind = makers.made_kind
    AND pods.owner_name = makers.made_name
