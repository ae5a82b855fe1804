-- Edges that were told by a workload which only the demo ever sent. Run before the workloads go.
(
    tenant,
    if(reporter = 'destination', destination_namespace, source_namespace),
    if(reporter = 'destination', destination_workload, source_workload)
) IN (
    SELECT tenant, namespace, workload_name
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
    GROUP BY tenant, namespace, workload_name
    HAVING min(is_demo)
)
