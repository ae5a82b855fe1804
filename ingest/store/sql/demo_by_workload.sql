-- Rollups by workload: those that only the demo ever sent. Run before the workloads go.
(tenant, cluster, environment, namespace, workload_kind, workload_name) IN (
    SELECT tenant, cluster, environment, namespace, workload_kind, workload_name
    FROM
    (
        SELECT
            tenant, cluster, environment, namespace, workload_kind, workload_name,
            container, node,
            argMaxMerge(attributes)['lowtide.demo'] = 'true' AS is_demo
        FROM workloads
        GROUP BY
            tenant, cluster, environment, namespace, workload_kind, workload_name,
            container, node
    )
    GROUP BY tenant, cluster, environment, namespace, workload_kind, workload_name
    HAVING min(is_demo)
)
