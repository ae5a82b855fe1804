-- One row per container of a pod that has samples in the range: who it belongs to and where it last was. The cluster's and the
-- kubelet's scrapers may know different owners of the same pod; the closest to the workload counts.
SELECT
    sipHash64(cluster, namespace, pod, container) AS container_id,
    cluster,
    namespace,
    pod,
    container,
    argMaxIf(seen.node, seen.last_at, seen.node != '') AS node,
    max(seen.environment) AS environment,
    argMax((seen.workload_kind, seen.workload_name), owner_rank) AS owner,
    owner.1 AS workload_kind,
    owner.2 AS workload_name,
    ${workload_id('')} AS workload_id
FROM
(
    SELECT
        cluster,
        namespace,
        pod,
        container,
        node,
        environment,
        workload_kind,
        workload_name,
        max(minute) AS last_at,
        transform(workload_kind, ['', 'Pod', 'Job', 'ReplicaSet'], [0, 1, 2, 2], 3) AS owner_rank
    FROM usage_1m
    WHERE tenant = {tenant:String}
        AND minute >= {start:DateTime('UTC')}
        AND minute < {end:DateTime('UTC')}
        AND pod != ''
        AND container != ''
    GROUP BY cluster, namespace, pod, container, node, environment, workload_kind, workload_name
) AS seen
GROUP BY container_id, cluster, namespace, pod, container
