-- One row per node or virtual machine that has samples in the range: what it is and how large. 0 and '' where nobody said.
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
