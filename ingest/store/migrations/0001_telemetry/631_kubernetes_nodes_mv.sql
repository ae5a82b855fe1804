-- From kube-state-metrics, cAdvisor and the node exporter. What a node is - its type, zone and provider - comes with other
-- series than how large it is, and so lies in other rows of the same node and minute. Where its labels are not exported, the
-- provider's id tells the zone: aws:///eu-central-1a/i-..., gce://project/europe-west3-a/name. On EC2 the firmware tells the type
-- of a machine; labels of the scraper's target (region, zone, instance_type) may tell it elsewhere. Of processors only the time
-- they are idle is kept. What the kubelet tells of its node in /metrics/resource is a second account of what cAdvisor does.
CREATE MATERIALIZED VIEW IF NOT EXISTS kubernetes_nodes_mv TO nodes_1m AS
SELECT
    tenant,
    ${node_names},
    instance,
    counter,
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    maxIf(if(counter = '', value, toFloat64OrZero(counter) + 1), is_cores) AS cpu_capacity_cores,
    maxIf(value, fact = 'kube_node_status_allocatable' AND resource = 'cpu') AS cpu_allocatable_cores,
    maxIf(value, is_memory) AS memory_capacity_bytes,
    maxIf(value, fact = 'kube_node_status_allocatable' AND resource = 'memory') AS memory_allocatable_bytes,
    sumIf(value, is_memory_usage) AS memory_usage_bytes_sum,
    countIf(is_memory_usage) AS memory_usage_samples,
    sumIf(value, fact = 'node_memory_MemAvailable_bytes') AS memory_available_bytes_sum,
    countIf(fact = 'node_memory_MemAvailable_bytes') AS memory_available_samples,
    max(own_name) AS machine,
    maxIf(value, is_cpu_time) AS cpu_time_s_total,
    maxIf((at, value), is_cpu_time) AS cpu_time_s_last
FROM
(
    SELECT
        * EXCEPT (node, instance),
        fact IN ('node_cpu_usage_seconds_total', 'node_memory_working_set_bytes') AS is_second_account,
        startsWith(fact, 'node_') AND NOT is_second_account AS is_exported,
        multiIf(is_exported, '', kind = 'Node', name, kubernetes_points.node) AS node,
        if(is_exported OR fact = 'kube_node_info', kubernetes_points.instance, '') AS instance,
        multiIf(NOT is_exported, '', kubernetes_points.node != '', kubernetes_points.node, attributes['nodename']) AS own_name,
        multiIf(fact = 'node_cpu_seconds_total', attributes['cpu'], fact = 'node_cpu_usage_seconds_total', 'cpu', '') AS counter,
        fact IN ('container_cpu_usage_seconds_total', 'node_cpu_usage_seconds_total', 'node_cpu_seconds_total') AS is_cpu_time,
        fact IN ('container_memory_working_set_bytes', 'node_memory_working_set_bytes') AS is_memory_usage,
        fact IN ('machine_cpu_cores', 'node_cpu_seconds_total') OR (fact = 'kube_node_status_capacity' AND resource = 'cpu')
            AS is_cores,
        fact IN ('machine_memory_bytes', 'node_memory_MemTotal_bytes')
            OR (fact = 'kube_node_status_capacity' AND resource = 'memory') AS is_memory,
        attributes['provider_id'] AS provider_id,
        if(fact = 'node_dmi_info',
            transform(attributes['system_vendor'], ['Amazon EC2', 'Google', 'Alibaba Cloud'], ['aws', 'gcp', 'alibaba_cloud'], ''),
            ${cloud_of_node}) AS provider,
        arrayFirst(
            found -> found != '',
            [
                attributes['label_topology_kubernetes_io_zone'],
                attributes['label_failure_domain_beta_kubernetes_io_zone'],
                if(fact = 'node_uname_info', attributes['zone'], ''),
                extract(provider_id, '^aws:///([^/]+)/'),
                extract(provider_id, '^gce://[^/]+/([^/]+)/')]) AS zone,
        arrayFirst(
            found -> found != '',
            [
                attributes['label_topology_kubernetes_io_region'],
                attributes['label_failure_domain_beta_kubernetes_io_region'],
                if(fact = 'node_uname_info', attributes['region'], ''),
                extract(provider_id, '^aws:///([a-z]+-[a-z-]+-[0-9]+)[a-z]/'),
                extract(provider_id, '^gce://[^/]+/([a-z]+-[a-z]+[0-9]+)-[a-z]/')]) AS region,
        arrayFirst(
            found -> found != '',
            [
                attributes['label_node_kubernetes_io_instance_type'],
                attributes['label_beta_kubernetes_io_instance_type'],
                if(fact = 'node_uname_info', attributes['instance_type'], ''),
                if(fact = 'node_dmi_info' AND attributes['system_vendor'] = 'Amazon EC2', attributes['product_name'], '')])
            AS host_type,
        fromUnixTimestamp64Milli(toInt64(least(intDiv(time_ns, 1000000), 9223372036854)), 'UTC') AS at
    FROM kubernetes_points
    WHERE fact IN ('kube_node_info', 'kube_node_labels', 'machine_cpu_cores', 'machine_memory_bytes')
        OR (fact IN ('kube_node_status_capacity', 'kube_node_status_allocatable') AND resource IN ('cpu', 'memory'))
        OR fact IN ('node_cpu_usage_seconds_total', 'node_memory_working_set_bytes')
        OR fact IN ('node_memory_MemTotal_bytes', 'node_memory_MemAvailable_bytes', 'node_uname_info', 'node_dmi_info')
        OR (fact = 'node_cpu_seconds_total' AND attributes['mode'] = 'idle')
        OR (fact IN ('container_cpu_usage_seconds_total', 'container_memory_working_set_bytes') AND attributes['id'] = '/')
)
WHERE node != '' OR (is_exported AND instance != '')
GROUP BY
    tenant,
    ${node_names},
    instance,
    counter,
    minute
