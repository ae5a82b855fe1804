-- From the Collector's kubeletstats and k8s_cluster receivers for nodes, from hostmetrics for other machines.
CREATE MATERIALIZED VIEW IF NOT EXISTS nodes_1m_mv TO nodes_1m AS
SELECT
    tenant,
    ${node_names},
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    maxIf(value, name IN ('k8s.node.cpu.capacity', 'system.cpu.logical.count')) AS cpu_capacity_cores,
    maxIf(value, name IN ('k8s.node.cpu.allocatable', 'k8s.node.allocatable_cpu')) AS cpu_allocatable_cores,
    maxIf(value, name IN ('k8s.node.memory.capacity', 'system.memory.limit')) AS memory_capacity_bytes,
    maxIf(value, name IN ('k8s.node.memory.allocatable', 'k8s.node.allocatable_memory')) AS memory_allocatable_bytes,
    sumIf(value, name = 'k8s.node.cpu.usage') AS cpu_usage_cores_sum,
    countIf(name = 'k8s.node.cpu.usage') AS cpu_usage_samples,
    sumIf(value, name = 'system.cpu.utilization' AND cpu_mode != 'idle') AS cpu_busy_sum,
    sumIf(value, name = 'system.cpu.utilization' AND cpu_mode = 'idle') AS cpu_idle_sum,
    sumIf(value, is_memory_usage) AS memory_usage_bytes_sum,
    countIf(is_memory_usage) AS memory_usage_samples
FROM
(
    WITH ${in_resource(resource_json)}
    SELECT
        *,
        attribute('cloud.provider') AS provider,
        attribute('cloud.region') AS region,
        attribute('cloud.availability_zone') AS zone,
        if(attribute('host.type') != '', attribute('host.type'), attribute('k8s.node.label.node.kubernetes.io/instance-type'))
            AS host_type,
        if(attributes['cpu.mode'] != '', attributes['cpu.mode'], attributes['state']) AS cpu_mode,
        name = 'k8s.node.memory.working_set' OR (name = 'system.memory.usage'
            AND (attributes['system.memory.state'] = 'used' OR attributes['state'] = 'used')) AS is_memory_usage
    FROM known_points
    WHERE node != '' AND name IN (
        'k8s.node.cpu.capacity', 'k8s.node.cpu.allocatable', 'k8s.node.allocatable_cpu',
        'k8s.node.memory.capacity', 'k8s.node.memory.allocatable', 'k8s.node.allocatable_memory',
        'k8s.node.cpu.usage', 'k8s.node.memory.working_set',
        'system.cpu.logical.count', 'system.cpu.utilization', 'system.memory.limit', 'system.memory.usage')
)
GROUP BY
    tenant,
    ${node_names},
    minute
