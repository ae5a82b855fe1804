-- Rollups by node: nodes that only the demo ever named. Run before the workloads go.
(tenant, cluster, node) IN (
    SELECT tenant, cluster, node
    FROM
    (
        SELECT tenant, cluster, node, argMaxMerge(attributes)['lowtide.demo'] = 'true' AS is_demo
        FROM workloads
        GROUP BY
            tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name,
            container, node
    )
    GROUP BY tenant, cluster, node
    HAVING min(is_demo)
)
