-- The list of senders itself; the last to go.
(tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, container, node)
IN (
    SELECT
        tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name,
        container, node
    FROM workloads
    GROUP BY
        tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name,
        container, node
    HAVING argMaxMerge(attributes)['lowtide.demo'] = 'true'
)
