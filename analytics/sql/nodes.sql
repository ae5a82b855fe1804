-- One row per node or virtual machine that has samples in the range: what it is and how large. 0 and '' where nobody said.
-- capacity_type: spot, on-demand or '', by the labels of the node that kube-state-metrics told last in the range, else by those in
-- the cluster's latest snapshot.
SELECT
    sizes.node_id AS node_id,
    sizes.cluster AS cluster,
    sizes.node AS node,
    sizes.host_type AS host_type,
    sizes.provider AS provider,
    sizes.region AS region,
    if(told.capacity_type != '', told.capacity_type, inventory.capacity_type) AS capacity_type,
    sizes.cpu_capacity AS cpu_capacity,
    sizes.cpu_allocatable AS cpu_allocatable,
    sizes.memory_capacity AS memory_capacity,
    sizes.memory_allocatable AS memory_allocatable
FROM
(
    SELECT
        sipHash64(cluster, node) AS node_id,
        cluster,
        node,
        argMaxIf(seen.host_type, minute, seen.host_type != '') AS host_type,
        argMaxIf(seen.provider, minute, seen.provider != '') AS provider,
        argMaxIf(seen.region, minute, seen.region != '') AS region,
        argMaxIf(cpu_capacity_cores, (minute, cpu_capacity_cores), cpu_capacity_cores > 0) AS cpu_capacity,
        argMaxIf(cpu_allocatable_cores, minute, cpu_allocatable_cores > 0) AS cpu_allocatable,
        argMaxIf(memory_capacity_bytes, minute, memory_capacity_bytes > 0) AS memory_capacity,
        argMaxIf(memory_allocatable_bytes, minute, memory_allocatable_bytes > 0) AS memory_allocatable
    FROM
    (
        ${named_nodes}
    ) AS seen
    GROUP BY node_id, cluster, node
) AS sizes
LEFT JOIN
(
    SELECT
        cluster,
        name,
        argMax(CAST(facts.labels, 'Map(String, String)'), facts.seen_at) AS said,
        ${capacity_type(said)} AS capacity_type
    FROM kubernetes_facts AS facts
    WHERE tenant = {tenant:String}
        AND fact = 'kube_node_labels'
        AND period >= toStartOfHour({start:DateTime('UTC')})
        AND period < {end:DateTime('UTC')}
    GROUP BY cluster, name
) AS told ON sizes.cluster = told.cluster AND sizes.node = told.name
LEFT JOIN
(
    SELECT
        cluster,
        name,
        mapApply(
            (key, text) -> (
                concat('label_', lower(replaceRegexpAll(
                    replaceRegexpAll(key, '[^a-zA-Z0-9_]', '_'), '([a-z0-9])([A-Z])', '\\1_\\2'))),
                text),
            CAST(nodes.labels, 'Map(String, String)')) AS said,
        ${capacity_type(said)} AS capacity_type
    FROM kubernetes_inventory AS nodes
    WHERE tenant = {tenant:String} AND kind = 'Node' AND api_group = ''
) AS inventory ON sizes.cluster = inventory.cluster AND sizes.node = inventory.name
