-- From cAdvisor and kube-state-metrics. Left out: the cgroups above a container (slices, the pod, the whole machine), the
-- container that only holds the pod's network, the loopback interface, requests of pods that are on no node yet.
CREATE MATERIALIZED VIEW IF NOT EXISTS kubernetes_usage_mv TO usage_1m AS
SELECT
    tenant,
    cluster,
    '' AS environment,
    namespace,
    kind AS workload_kind,
    name AS workload_name,
    node,
    pod,
    pod_container AS container,
    counter,
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    sumIf(value, is_memory) AS memory_usage_bytes_sum,
    countIf(is_memory) AS memory_usage_samples,
    maxIf(value, is_memory) AS memory_usage_bytes_max,
    maxIf(value, fact = 'kube_pod_container_resource_requests' AND resource = 'cpu') AS cpu_request_cores,
    maxIf(value, fact = 'kube_pod_container_resource_limits' AND resource = 'cpu') AS cpu_limit_cores,
    maxIf(value, fact = 'kube_pod_container_resource_requests' AND resource = 'memory') AS memory_request_bytes,
    maxIf(value, fact = 'kube_pod_container_resource_limits' AND resource = 'memory') AS memory_limit_bytes,
    maxIf(value, fact = 'container_network_receive_bytes_total') AS network_receive_bytes_total,
    maxIf(value, fact = 'container_network_transmit_bytes_total') AS network_transmit_bytes_total,
    maxIf(value, fact IN ('kube_deployment_spec_replicas', 'kube_statefulset_replicas')) AS replicas_desired,
    maxIf(value, fact LIKE '%replicas_available' OR fact LIKE '%replicas_ready') AS replicas_available,
    maxIf(value, is_cpu_time) AS cpu_time_s_total,
    maxIf((at, value), is_cpu_time) AS cpu_time_s_last,
    maxIf(toDateTime(toUInt32(least(greatest(value, 0), 4294967295)), 'UTC'), fact = 'container_start_time_seconds')
        AS started_at
FROM
(
    SELECT
        *,
        if(kind = 'Pod', name, '') AS pod,
        fact LIKE 'container_network_%' AS is_network,
        fact = 'container_memory_working_set_bytes' AS is_memory,
        fact = 'container_cpu_usage_seconds_total' AS is_cpu_time,
        if(is_network, '', container) AS pod_container,
        fromUnixTimestamp64Milli(toInt64(least(intDiv(time_ns, 1000000), 9223372036854)), 'UTC') AS at,
        if(attributes['name'] != '', attributes['name'], arrayElement(splitByChar('/', attributes['id']), -1)) AS own_id,
        multiIf(
            is_network, attributes['interface'],
            is_cpu_time OR fact = 'container_start_time_seconds', if(own_id = '', 'cpu', left(own_id, 12)),
            '') AS counter
    FROM kubernetes_points
    WHERE name != ''
        AND (fact IN (
            'kube_deployment_spec_replicas', 'kube_deployment_status_replicas_available',
            'kube_statefulset_replicas', 'kube_statefulset_status_replicas_ready')
            OR (fact IN ('kube_pod_container_resource_requests', 'kube_pod_container_resource_limits')
                AND node != '' AND resource IN ('cpu', 'memory'))
            OR (startsWith(fact, 'container_network_') AND attributes['interface'] != 'lo' AND value > 0)
            OR (fact IN (
                'container_cpu_usage_seconds_total', 'container_memory_working_set_bytes', 'container_start_time_seconds')
                AND container NOT IN ('', 'POD') AND (attributes['image'] != '' OR attributes['id'] = '')))
)
GROUP BY
    tenant,
    cluster,
    namespace,
    workload_kind,
    workload_name,
    node,
    pod,
    pod_container,
    counter,
    minute
