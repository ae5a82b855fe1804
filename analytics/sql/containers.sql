-- One row per container of a pod that has samples in the range: who it belongs to, where it last was, and when it was done
-- for good (NULL while it runs, or nobody said), and the minute of its last sample. Several scrapers may know different owners of the same pod; the closest to
-- what is deployed counts.
SELECT
    sipHash64(cluster, namespace, pod, container) AS container_id,
    seen.cluster AS cluster,
    seen.namespace AS namespace,
    seen.pod AS pod,
    container,
    seen.node AS node,
    seen.environment AS environment,
    if(${owner_rank(owned.owner_kind)} > ${owner_rank(seen.kind)}, owned.owner_kind, seen.kind) AS workload_kind,
    if(${owner_rank(owned.owner_kind)} > ${owner_rank(seen.kind)}, owned.owner_name, seen.owner) AS workload_name,
    owned.ended_at AS ended_at,
    toDateTime64(seen.last_minute, 3, 'UTC') AS last_minute,
    ${workload_id('')} AS workload_id
FROM
(
    SELECT
        cluster,
        namespace,
        pod,
        container,
        argMaxIf(usage.node, usage.last_at, usage.node != '') AS node,
        max(usage.environment) AS environment,
        max(usage.last_at) AS last_minute,
        argMax((workload_kind, workload_name), ${owner_rank(workload_kind)}) AS known,
        known.1 AS kind,
        known.2 AS owner
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
            max(minute) AS last_at
        FROM usage_1m
        WHERE tenant = {tenant:String}
            AND minute >= {start:DateTime('UTC')}
            AND minute < {end:DateTime('UTC')}
            AND pod != ''
            AND container != ''
        GROUP BY cluster, namespace, pod, container, node, environment, workload_kind, workload_name
    ) AS usage
    GROUP BY cluster, namespace, pod, container
) AS seen
LEFT JOIN
(
    ${pod_owners}
) AS owned ON seen.cluster = owned.cluster AND seen.namespace = owned.namespace AND seen.pod = owned.pod
