-- Whether any sender is the demo's.
SELECT count() > 0
FROM
(
    SELECT 1
    FROM workloads
    GROUP BY
        tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name,
        container, node
    HAVING argMaxMerge(attributes)['lowtide.demo'] = 'true'
    LIMIT 1
)
