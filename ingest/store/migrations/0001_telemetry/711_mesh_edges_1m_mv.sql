-- response_class: grpc_error is an answer of 2xx whose gRPC status is a server's fault: those of OpenTelemetry's conventions, and what
-- Linkerd calls a failure.
-- A proxy's own side is told by its labels (deployment, namespace), by its resource, or by its pod's name without what a
-- ReplicaSet adds to it; the other one by what the mesh says.
-- Knative's queue proxy stands before each pod of a revision: it knows what arrived, and not who called. A revision is the Deployment
-- REVISION-deployment.
-- Zones: Linkerd's dst_zone, and ztunnel's labels (sidecars have them if they are told to add them).
-- Left out: metrics of the same name without a mesh's labels; what an Istio sidecar's Envoy counts beside Istio (clusters with a
-- |); Envoy's and Linkerd's own administration; of Linkerd's connections those between a proxy and its own application.
CREATE MATERIALIZED VIEW IF NOT EXISTS mesh_edges_1m_mv TO mesh_edges_1m AS
SELECT
    ${mesh_edge_names},
    instance,
    sipHash64(${mesh_edge_names}, instance, labels) AS counter,
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    maxOrNullIf(value, measure = 'requests' AND NOT is_delta) AS requests_total,
    maxOrNullIf(value, measure = 'request_bytes' AND NOT is_delta) AS request_bytes_total,
    maxOrNullIf(value, measure = 'response_bytes' AND NOT is_delta) AS response_bytes_total,
    maxOrNullIf(value, measure = 'connections' AND NOT is_delta) AS connections_total,
    maxOrNullIf(value, measure = 'duration_ms' AND NOT is_delta) AS duration_ms_total,
    sumIf(value, measure = 'requests' AND is_delta) AS requests_delta,
    sumIf(value, measure = 'request_bytes' AND is_delta) AS request_bytes_delta,
    sumIf(value, measure = 'response_bytes' AND is_delta) AS response_bytes_delta,
    sumIf(value, measure = 'connections' AND is_delta) AS connections_delta,
    sumIf(value, measure = 'duration_ms' AND is_delta) AS duration_ms_delta,
    sumIf(value, measure = 'per_30s') AS per_30s_sum,
    countIf(measure = 'per_30s') AS per_30s_samples,
    ${mesh_proxy}
FROM
(
    WITH
        ${in_resource(resource_json)},
        startsWith(name, 'revision_') OR startsWith(name, 'kn_') AS is_knative,
        arrayFirst(text -> text != '', [attributes['pod'], attributes['pod_name'], attributes['k8s_pod_name'], pod]) AS own_pod,
        arrayFirst(text -> text != '', [
            attributes['revision_name'], attributes['kn_revision_name'], attribute('kn.revision.name')]) AS revision_told,
        arrayFirst(text -> text != '', [
            if(is_knative AND revision_told != '', concat(revision_told, '-deployment'), ''), attributes['deployment'], attributes['statefulset'], attributes['daemonset'], attributes['k8s_job'],
            if(workload_kind IN ('Service', 'Pod'), '', workload_name),
            replaceRegexpOne(own_pod, '-[a-f0-9]{6,10}-[a-z0-9]{5}$', ''), workload_name]) AS own_workload,
        arrayFirst(text -> text != '', [
            if(is_knative, if(attributes['namespace_name'] != '', attributes['namespace_name'], attributes['k8s_namespace_name']), ''),
            attributes['namespace'], attributes['kubernetes_namespace'], namespace]) AS own_namespace,
        multiIf(startsWith(name, 'istio_'), attributes['reporter'], startsWith(name, 'envoy_http_') OR is_knative, 'destination',
            attributes['direction'] = 'inbound', 'destination', 'source') AS told_by,
        told_by = 'destination' AS is_destination,
        arrayFirst(text -> text != '', [
            attributes['response_code'], attributes['status_code'], attributes['envoy_response_code_class'],
            attributes['http_response_status_code'], attributes['http.response.status_code']]) AS code,
        ${grpc_error(attributes['grpc_response_status'])}
            OR (attributes['grpc_status'] != '' AND attributes['classification'] = 'failure') AS is_grpc_error
    SELECT
        tenant,
        multiIf(startsWith(name, 'istio_'), 'istio', startsWith(name, 'envoy_'), 'envoy',
            name = 'upstream_rq_total', 'polaris', is_knative, 'knative', 'linkerd') AS mesh,
        'metrics' AS origin,
        multiIf(mesh = 'polaris', '', mesh = 'knative', 'queue-proxy', told_by = 'waypoint', 'waypoint',
            attributes['app'] = 'ztunnel' OR startsWith(own_pod, 'ztunnel') OR service_name = 'ztunnel', 'ztunnel',
            'sidecar') AS proxy,
        told_by AS reporter,
        multiIf(mesh = 'istio', attributes['source_cluster'], is_destination, '', cluster) AS source_cluster,
        multiIf(mesh = 'istio', attributes['source_workload_namespace'], mesh = 'polaris', attributes['caller_namespace'],
            is_destination, '', own_namespace) AS source_namespace,
        multiIf(mesh = 'istio', attributes['source_workload'], mesh = 'polaris', attributes['caller_service'],
            is_destination, '', own_workload) AS source_workload,
        if(mesh = 'istio' AND attributes['source_zone'] != 'unknown', attributes['source_zone'], '') AS source_zone,
        multiIf(mesh = 'istio', attributes['destination_cluster'], is_destination, cluster, '') AS destination_cluster,
        multiIf(mesh = 'istio', attributes['destination_workload_namespace'], mesh = 'polaris', attributes['callee_namespace'],
            is_destination, own_namespace, attributes['dst_namespace']) AS destination_namespace,
        multiIf(mesh = 'istio', attributes['destination_workload'], mesh = 'polaris', '', is_destination, own_workload,
            arrayFirst(text -> text != '', [attributes['dst_deployment'], attributes['dst_statefulset'], attributes['dst_daemonset'],
                attributes['dst_k8s_job']])) AS destination_workload,
        multiIf(mesh = 'istio', attributes['destination_service'], mesh = 'polaris', attributes['callee_service'],
            mesh = 'envoy', attributes['envoy_cluster_name'], mesh = 'knative', arrayFirst(text -> text != '', [
                attributes['service_name'], attributes['kn_service_name'], attribute('kn.service.name')]), is_destination, '', attributes['dst_service'])
            AS destination_service,
        multiIf(mesh != 'istio', attributes['dst_zone'], attributes['destination_zone'] = 'unknown', '',
            attributes['destination_zone']) AS destination_zone,
        if(mesh = 'knative', 'http', attributes['request_protocol']) AS protocol,
        multiIf(
            is_grpc_error AND startsWith(code, '2'), 'grpc_error',
            match(code, '^[1-5]([0-9][0-9])?$'), concat(substring(code, 1, 1), 'xx'),
            '') AS response_class,
        if(attributes['response_flags'] = '-', '', attributes['response_flags']) AS response_flags,
        multiIf(attributes['connection_security_policy'] IN ('mutual_tls', 'none'), attributes['connection_security_policy'],
            mesh != 'linkerd' OR attributes['tls'] = '', '', attributes['tls'] = 'true', 'mutual_tls', 'none') AS security,
        if(mesh = 'linkerd' AND NOT is_destination, ${private_address(attributes['target_addr'])}, '') AS peer_address,
        if(attributes['cluster'] != '', attributes['cluster'], cluster) AS proxy_cluster,
        own_namespace AS proxy_namespace,
        own_pod AS proxy_pod,
        if(attributes['node'] != '', attributes['node'], node) AS proxy_node,
        attribute('cloud.availability_zone') AS proxy_zone,
        attribute('k8s.pod.ip') AS proxy_address,
        sipHash64(attribute('service.instance.id'), proxy_cluster, own_namespace, own_pod) AS instance,
        arraySort(arrayFilter(
            pair -> pair.1 NOT IN ('replica', 'prometheus', 'prometheus_replica', '__replica__', 'receive_replica'),
            CAST(attributes, 'Array(Tuple(String, String))'))) AS labels,
        multiIf(
            mesh = 'polaris', 'per_30s',
            name IN ('istio_requests_total', 'response_total', 'envoy_cluster_upstream_rq_xx', 'envoy_http_downstream_rq_xx')
                OR (is_knative AND endsWith(name, '_count')), 'requests',
            name LIKE '%connections\_opened%' OR name LIKE '%\_cx\_total' OR name = 'tcp_open_total', 'connections',
            name LIKE '%duration%' OR name LIKE '%latenc%' OR name LIKE '%rq\_time%', 'duration_ms',
            name IN ('istio_request_bytes_sum', 'istio_tcp_received_bytes_total', 'envoy_cluster_upstream_cx_tx_bytes_total',
                'envoy_http_downstream_cx_rx_bytes_total')
                OR name = if(is_destination, 'tcp_read_bytes_total', 'tcp_write_bytes_total'), 'request_bytes',
            'response_bytes') AS measure,
        point.value * if(name = 'kn_serving_invocation_duration_seconds_sum', 1000, 1) AS value,
        is_delta,
        time_ns
    FROM mesh_points AS point
    WHERE multiIf(
        mesh = 'knative', own_workload != '',
        mesh = 'istio', told_by != '',
        name LIKE 'envoy\_cluster\_%', attributes['envoy_cluster_name'] != '' AND position(attributes['envoy_cluster_name'], '|') = 0,
        mesh = 'envoy', attributes['envoy_http_conn_manager_prefix'] NOT IN ('', 'admin'),
        mesh = 'polaris', attributes['callee_service'] != '',
        startsWith(name, 'tcp_'), (attributes['direction'], attributes['peer']) IN (('inbound', 'src'), ('outbound', 'dst')),
        attributes['direction'] IN ('inbound', 'outbound') AND attributes['target_port'] != '4191')
) AS told
GROUP BY
    ${mesh_edge_names},
    instance,
    counter,
    minute
