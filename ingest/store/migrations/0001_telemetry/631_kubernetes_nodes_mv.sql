-- From kube-state-metrics and cAdvisor. What a node is - its type, zone and provider - comes with other series than how large
-- it is, and so lies in other rows of the same node and minute. Where its labels are not exported, the provider's id tells the
-- zone: aws:///eu-central-1a/i-..., gce://project/europe-west3-a/name.
CREATE MATERIALIZED VIEW IF NOT EXISTS kubernetes_nodes_mv TO nodes_1m AS
SELECT
    tenant,
    cluster,
    node,
    provider,
    region,
    zone,
    host_type,
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    maxIf(value, (fact = 'kube_node_status_capacity' AND resource = 'cpu') OR fact = 'machine_cpu_cores')
        AS cpu_capacity_cores,
    maxIf(value, fact = 'kube_node_status_allocatable' AND resource = 'cpu') AS cpu_allocatable_cores,
    maxIf(value, (fact = 'kube_node_status_capacity' AND resource = 'memory') OR fact = 'machine_memory_bytes')
        AS memory_capacity_bytes,
    maxIf(value, fact = 'kube_node_status_allocatable' AND resource = 'memory') AS memory_allocatable_bytes,
    sumIf(value, fact = 'container_memory_working_set_bytes') AS memory_usage_bytes_sum,
    countIf(fact = 'container_memory_working_set_bytes') AS memory_usage_samples,
    maxIf(value, fact = 'container_cpu_usage_seconds_total') AS cpu_time_s_total,
    maxIf((at, value), fact = 'container_cpu_usage_seconds_total') AS cpu_time_s_last
FROM
(
    SELECT
        * EXCEPT (node),
        if(kind = 'Node', name, kubernetes_points.node) AS node,
        attributes['provider_id'] AS provider_id,
        ${cloud_of_node} AS provider,
        arrayFirst(
            found -> found != '',
            [
                attributes['label_topology_kubernetes_io_zone'],
                attributes['label_failure_domain_beta_kubernetes_io_zone'],
                extract(provider_id, '^aws:///([^/]+)/'),
                extract(provider_id, '^gce://[^/]+/([^/]+)/')]) AS zone,
        arrayFirst(
            found -> found != '',
            [
                attributes['label_topology_kubernetes_io_region'],
                attributes['label_failure_domain_beta_kubernetes_io_region'],
                extract(provider_id, '^aws:///([a-z]+-[a-z-]+-[0-9]+)[a-z]/'),
                extract(provider_id, '^gce://[^/]+/([a-z]+-[a-z]+[0-9]+)-[a-z]/')]) AS region,
        arrayFirst(
            found -> found != '',
            [
                attributes['label_node_kubernetes_io_instance_type'],
                attributes['label_beta_kubernetes_io_instance_type']]) AS host_type,
        fromUnixTimestamp64Milli(toInt64(least(intDiv(time_ns, 1000000), 9223372036854)), 'UTC') AS at
    FROM kubernetes_points
    WHERE fact IN ('kube_node_info', 'kube_node_labels', 'machine_cpu_cores', 'machine_memory_bytes')
        OR (fact IN ('kube_node_status_capacity', 'kube_node_status_allocatable') AND resource IN ('cpu', 'memory'))
        OR (fact IN ('container_cpu_usage_seconds_total', 'container_memory_working_set_bytes') AND attributes['id'] = '/')
)
WHERE node != ''
GROUP BY
    tenant,
    cluster,
    node,
    provider,
    region,
    zone,
    host_type,
    minute
