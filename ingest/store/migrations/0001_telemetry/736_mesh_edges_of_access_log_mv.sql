-- Edges as proxies' access logs tell them, by the minute in which a request ended. The caller's proxy knows whom it asked for by name,
-- the callee's does not know who asked.
CREATE MATERIALIZED VIEW IF NOT EXISTS mesh_edges_of_access_log_mv TO mesh_edges_1m AS
SELECT
    ${mesh_edge_names},
    instance,
    sipHash64(${mesh_edge_names}, instance) AS counter,
    toDateTime(intDiv(${seconds(end_ns)}, 60) * 60, 'UTC') AS minute,
    toFloat64(countIf(is_http)) AS requests_delta,
    sum(request_bytes) AS request_bytes_delta,
    sum(response_bytes) AS response_bytes_delta,
    toFloat64(countIf(NOT is_http)) AS connections_delta,
    sumIf(duration_ms, is_http) AS duration_ms_delta,
    ${mesh_proxy}
FROM
(
    WITH ${in_resource(resource_json)}
    SELECT
        tenant,
        if(is_istio, 'istio', 'envoy') AS mesh,
        'access_log' AS origin,
        if(direction = 'waypoint', 'waypoint', 'sidecar') AS proxy,
        transform(direction, ['inbound', 'outbound'], ['destination', 'source'], 'waypoint') AS reporter,
        if(direction = 'outbound', cluster, '') AS source_cluster,
        if(direction = 'outbound', namespace, '') AS source_namespace,
        if(direction = 'outbound', workload_name, '') AS source_workload,
        '' AS source_zone,
        if(direction = 'inbound', cluster, '') AS destination_cluster,
        if(direction = 'inbound', namespace, extract(asked_service, '^[^.]+\\.([^.]+)\\.svc(?:\\.|$)')) AS destination_namespace,
        if(direction = 'inbound', workload_name, '') AS destination_workload,
        asked_service AS destination_service,
        '' AS destination_zone,
        if(is_http, 'http', 'tcp') AS protocol,
        multiIf(
            is_grpc_error, 'grpc_error',
            response_code BETWEEN 100 AND 599, concat(toString(intDiv(response_code, 100)), 'xx'),
            '') AS response_class,
        response_flags,
        security,
        peer_address,
        sipHash64(attribute('service.instance.id'), cluster, namespace, pod) AS instance,
        cluster AS proxy_cluster,
        namespace AS proxy_namespace,
        pod AS proxy_pod,
        node AS proxy_node,
        attribute('cloud.availability_zone') AS proxy_zone,
        if(attribute('k8s.pod.ip') != '', attribute('k8s.pod.ip'), own_address) AS proxy_address,
        end_ns,
        is_http,
        request_bytes,
        response_bytes,
        duration_ms
    FROM access_log_entries
    WHERE form IN ('text', 'json', 'attributes') AND NOT is_probe
) AS told
GROUP BY
    ${mesh_edge_names},
    instance,
    minute
