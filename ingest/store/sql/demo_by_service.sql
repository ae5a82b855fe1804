-- Rollups by workload and service: those that only the demo ever sent. Run before the workloads go.
(tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name) IN (
    SELECT tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name
    FROM
    (
        SELECT
            tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name,
            container, node,
            argMaxMerge(attributes)['lowtide.demo'] = 'true' AS is_demo
        FROM workloads
        GROUP BY
            tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name,
            container, node
    )
    GROUP BY tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name
    HAVING min(is_demo)
)
