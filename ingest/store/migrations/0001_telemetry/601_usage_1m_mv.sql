-- Left out: the loopback interface; time a processor waited; processes of a machine as a whole, which would be a row each.
CREATE MATERIALIZED VIEW IF NOT EXISTS usage_1m_mv TO usage_1m AS
SELECT
    tenant,
    ${identity_names},
    node,
    pod,
    if(startsWith(name, 'container.') OR startsWith(name, 'k8s.container.'), own_container, '') AS container,
    multiIf(name LIKE '%.network.io', interface, name LIKE 'process.%', concat(process_id, '/', cpu_mode), '') AS counter,
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    sumIf(value, name = 'container.cpu.usage') AS cpu_usage_cores_sum,
    countIf(name = 'container.cpu.usage') AS cpu_usage_samples,
    sumIf(value, name IN ('container.memory.working_set', 'process.memory.usage')) AS memory_usage_bytes_sum,
    countIf(name IN ('container.memory.working_set', 'process.memory.usage')) AS memory_usage_samples,
    maxIf(value, name IN ('container.memory.working_set', 'process.memory.usage')) AS memory_usage_bytes_max,
    maxIf(value, name IN ('k8s.container.cpu.request', 'k8s.container.cpu_request')) AS cpu_request_cores,
    maxIf(value, name IN ('k8s.container.cpu.limit', 'k8s.container.cpu_limit')) AS cpu_limit_cores,
    maxIf(value, name IN ('k8s.container.memory.request', 'k8s.container.memory_request')) AS memory_request_bytes,
    maxIf(value, name IN ('k8s.container.memory.limit', 'k8s.container.memory_limit')) AS memory_limit_bytes,
    maxIf(value, name LIKE '%.network.io' AND direction = 'receive' AND NOT is_delta) AS network_receive_bytes_total,
    maxIf(value, name LIKE '%.network.io' AND direction = 'transmit' AND NOT is_delta) AS network_transmit_bytes_total,
    sumIf(value, name LIKE '%.network.io' AND direction = 'receive' AND is_delta) AS network_receive_bytes_delta,
    sumIf(value, name LIKE '%.network.io' AND direction = 'transmit' AND is_delta) AS network_transmit_bytes_delta,
    maxIf(value, name LIKE '%desired%') AS replicas_desired,
    maxIf(value, name LIKE '%available%' OR name LIKE '%ready%') AS replicas_available,
    maxIf(value, name = 'process.cpu.time' AND NOT is_delta) AS cpu_time_s_total,
    sumIf(value, name = 'process.cpu.time' AND is_delta) AS cpu_time_s_delta
FROM
(
    WITH ${in_resource(resource_json)}
    SELECT
        *,
        container AS own_container,
        if(attributes['network.io.direction'] != '', attributes['network.io.direction'], attributes['direction'])
            AS direction,
        if(attributes['cpu.mode'] != '', attributes['cpu.mode'], attributes['state']) AS cpu_mode,
        if(attribute('process.pid') != '', attribute('process.pid'), attributes['process.pid']) AS process_id,
        arrayFirst(found -> found != '',
            [attributes['interface'], attributes['network.interface.name'], attributes['device']]) AS interface,
        kind = 'sum' AND temporality = 1 AS is_delta
    FROM known_points
    WHERE NOT (name LIKE '%.network.io' AND interface = 'lo')
        AND NOT (name = 'process.cpu.time' AND cpu_mode IN ('wait', 'iowait', 'idle'))
        AND NOT (name LIKE 'process.%' AND workload_kind = 'Host')
        AND name IN (
        'container.cpu.usage', 'container.memory.working_set',
        'k8s.container.cpu.request', 'k8s.container.cpu_request', 'k8s.container.cpu.limit', 'k8s.container.cpu_limit',
        'k8s.container.memory.request', 'k8s.container.memory_request',
        'k8s.container.memory.limit', 'k8s.container.memory_limit',
        'k8s.pod.network.io', 'system.network.io', 'process.cpu.time', 'process.memory.usage',
        'k8s.deployment.desired', 'k8s.deployment.available',
        'k8s.deployment.pod.desired', 'k8s.deployment.pod.available',
        'k8s.statefulset.desired_pods', 'k8s.statefulset.ready_pods',
        'k8s.statefulset.pod.desired', 'k8s.statefulset.pod.ready')
)
GROUP BY
    tenant,
    ${identity_names},
    node,
    pod,
    container,
    counter,
    minute
