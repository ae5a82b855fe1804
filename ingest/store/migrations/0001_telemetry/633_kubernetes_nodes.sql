-- The nodes of clusters, and machines outside that say their name (cluster empty), as they were last on each day (UTC): from nodes_1m, whoever
-- sent it, and kube-state-metrics. labels, and with them capacity_type, only if it exports them.
CREATE VIEW IF NOT EXISTS kubernetes_nodes AS
SELECT
    seen.tenant AS tenant,
    seen.day AS day,
    seen.cluster AS cluster,
    seen.node AS node,
    seen.provider AS provider,
    seen.region AS region,
    seen.zone AS zone,
    seen.host_type AS host_type,
    ${capacity_type(labels)} AS capacity_type,
    told.provider_id AS provider_id,
    seen.cpu_capacity_cores AS cpu_capacity_cores,
    seen.cpu_allocatable_cores AS cpu_allocatable_cores,
    seen.memory_capacity_bytes AS memory_capacity_bytes,
    seen.memory_allocatable_bytes AS memory_allocatable_bytes,
    told.created_at AS created_at,
    told.is_unschedulable AS is_unschedulable,
    told.kubelet_version AS kubelet_version,
    told.labels AS labels,
    seen.seen_at AS seen_at
FROM
(
    SELECT
        tenant,
        toDate(minute) AS day,
        cluster,
        node,
        argMaxIf(heard.provider, minute, heard.provider != '') AS provider,
        argMaxIf(heard.region, minute, heard.region != '') AS region,
        argMaxIf(heard.zone, minute, heard.zone != '') AS zone,
        argMaxIf(heard.host_type, minute, heard.host_type != '') AS host_type,
        argMaxIf(heard.cpu_capacity_cores, minute, heard.cpu_capacity_cores > 0) AS cpu_capacity_cores,
        argMaxIf(heard.cpu_allocatable_cores, minute, heard.cpu_allocatable_cores > 0) AS cpu_allocatable_cores,
        argMaxIf(heard.memory_capacity_bytes, minute, heard.memory_capacity_bytes > 0) AS memory_capacity_bytes,
        argMaxIf(heard.memory_allocatable_bytes, minute, heard.memory_allocatable_bytes > 0) AS memory_allocatable_bytes,
        max(minute) AS seen_at
    FROM nodes_1m AS heard
    WHERE node != ''
    GROUP BY tenant, day, cluster, node
) AS seen
LEFT JOIN
(
    SELECT
        tenant,
        day,
        cluster,
        last.name AS node,
        anyIf(last.labels['provider_id'], fact = 'kube_node_info') AS provider_id,
        anyIf(last.labels['kubelet_version'], fact = 'kube_node_info') AS kubelet_version,
        maxIf(last.value, fact = 'kube_node_created') AS created_s,
        ${moment(created_s)} AS created_at,
        maxIf(last.value, fact = 'kube_node_spec_unschedulable') = 1 AS is_unschedulable,
        anyIf(last.labels, fact = 'kube_node_labels') AS labels
    FROM
    (
        ${last_facts(kube_node_%)}
    ) AS last
    GROUP BY tenant, day, cluster, node
) AS told ON seen.tenant = told.tenant AND seen.day = told.day AND seen.cluster = told.cluster AND seen.node = told.node
