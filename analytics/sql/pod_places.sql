-- Which pods were on which node in an hour of the range, with the address and workload of each where somebody tells it: from
-- kube-state-metrics, and from samples of containers and pods. Several rows a pod.
SELECT
    seen.cluster AS cluster,
    seen.namespace AS namespace,
    seen.pod AS pod,
    seen.node AS node,
    seen.address AS address,
    if(owners.owner_name != '', owners.owner_name, seen.workload) AS workload_name,
    seen.hour AS hour
FROM
(
    SELECT DISTINCT
        cluster,
        namespace,
        name AS pod,
        labels['node'] AS node,
        labels['pod_ip'] AS address,
        '' AS workload,
        toStartOfHour(period) AS hour
    FROM kubernetes_facts
    WHERE tenant = {tenant:String}
        AND fact = 'kube_pod_info'
        AND period >= toStartOfHour({start:DateTime('UTC')})
        AND period < {end:DateTime('UTC')}
        AND labels['node'] != ''
    UNION ALL
    SELECT DISTINCT
        cluster,
        namespace,
        pod,
        node,
        '' AS address,
        if(workload_kind IN ('Pod', 'Service'), '', workload_name) AS workload,
        toStartOfHour(minute) AS hour
    FROM usage_1m
    WHERE tenant = {tenant:String}
        AND minute >= toStartOfHour({start:DateTime('UTC')})
        AND minute < {end:DateTime('UTC')}
        AND pod != ''
        AND node != ''
) AS seen
LEFT JOIN
(
    ${pod_owners}
) AS owners ON seen.cluster = owners.cluster AND seen.namespace = owners.namespace AND seen.pod = owners.pod
