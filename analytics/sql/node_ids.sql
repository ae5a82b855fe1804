-- What nodes and machines are called by their provider: the last part of a node's provider id, and host.id. One row per node.
SELECT cluster, node, groupUniqArray(lower(id)) AS ids
FROM
(
    SELECT cluster, node, arrayElement(splitByRegexp('[/:]', provider_id), -1) AS id
    FROM kubernetes_nodes
    WHERE tenant = {tenant:String}
        AND day >= toDate({start:DateTime('UTC')})
        AND day <= toDate({end:DateTime('UTC')})
    UNION ALL
    SELECT cluster, toString(node) AS node, resource['host.id'] AS id
    FROM
    (
        SELECT cluster, node, argMaxMerge(attributes) AS resource
        FROM workloads
        WHERE tenant = {tenant:String} AND node != ''
        GROUP BY cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, container, node
    )
)
WHERE node != '' AND id != ''
GROUP BY cluster, node
