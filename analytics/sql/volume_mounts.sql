-- One row per claim, hour and pod that mounts it and was not done before, by kube-state-metrics, with the workload that the pod belongs to
-- (itself, if nobody made it).
SELECT
    cluster,
    namespace,
    claim,
    hour,
    pod,
    workload_kind,
    workload_name,
    ${workload_id('')} AS workload_id
FROM
(
    SELECT
        mounts.cluster AS cluster,
        mounts.namespace AS namespace,
        mounts.claim AS claim,
        mounts.hour AS hour,
        mounts.pod AS pod,
        if(owned.owner_kind = '', 'Pod', owned.owner_kind) AS workload_kind,
        if(owned.owner_kind = '', mounts.pod, owned.owner_name) AS workload_name
    FROM
    (
        SELECT DISTINCT cluster, namespace, part AS claim, period AS hour, name AS pod
        FROM kubernetes_facts
        WHERE tenant = {tenant:String}
            AND fact = 'kube_pod_spec_volumes_persistentvolumeclaims_info'
            AND period >= toStartOfHour({start:DateTime('UTC')})
            AND period < {end:DateTime('UTC')}
            AND part != ''
    ) AS mounts
    LEFT JOIN
    (
        ${pod_owners}
    ) AS owned ON mounts.cluster = owned.cluster AND mounts.namespace = owned.namespace AND mounts.pod = owned.pod
    WHERE isNull(owned.ended_at) OR owned.ended_at > mounts.hour
)
