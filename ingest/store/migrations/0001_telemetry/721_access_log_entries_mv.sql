-- The time of an entry is its own, unless it lies further than a week before the record or after it: then it is not believed.
-- gRPC is always POST; old versions of Envoy write a status for other requests, too.
-- The service asked for is named by Istio's cluster (outbound|80||HOST) or, at the callee, by the name the caller's proxy asked for
-- over mTLS (outbound_.80_._.HOST). The name of a cluster for statistics, which some logs say instead, ends with a semicolon since
-- Istio 1.23.
CREATE MATERIALIZED VIEW IF NOT EXISTS access_log_entries_mv TO access_log_entries AS
SELECT
    ${resource_names},
    time_ns,
    multiIf(form IN ('unknown', 'other') OR is_understood, form, 'unknown') AS form,
    multiIf(
        startsWith(cluster_asked, 'inbound-vip|'), 'waypoint',
        startsWith(cluster_asked, 'outbound|') OR cluster_asked IN ('PassthroughCluster', 'BlackHoleCluster'), 'outbound',
        'inbound') AS direction,
    toUInt64(start_ms) * 1000000 AS start_ns,
    start_ns + toUInt64(duration_ms * 1000000) AS end_ns,
    entry['method'] NOT IN ('', '-') AS is_http,
    startsWith(entry['user_agent'], 'kube-probe') AS is_probe,
    toUInt16OrZero(entry['response_code']) AS response_code,
    response_code BETWEEN 200 AND 299 AND entry['method'] = 'POST'
        AND ${grpc_error(grpc_status)} AS is_grpc_error,
    if(entry['response_flags'] = '-', '', entry['response_flags']) AS response_flags,
    ${quantity(entry['bytes_received'])} AS request_bytes,
    ${quantity(entry['bytes_sent'])} AS response_bytes,
    ${quantity(entry['duration'])} AS duration_ms,
    if(match(entry['upstream_service_time'], '^[0-9]{1,9}([.][0-9]{1,9})?$'), toFloat64OrNull(entry['upstream_service_time']), NULL)
        AS upstream_ms,
    position(cluster_asked, '|') > 0 OR direction = 'outbound' AS is_istio,
    multiIf(
        direction != 'inbound', splitByChar('|', cluster_asked)[4],
        startsWith(server_name, 'outbound_.'), extract(server_name, '^outbound_\\.[^.]*_\\.[^.]*_\\.(.*)$'),
        replaceRegexpOne(entry['authority'], ':[0-9]+$', '')) AS asked_service,
    multiIf(
        entry['security'] != '', entry['security'],
        direction != 'inbound' OR NOT startsWith(cluster_asked, 'inbound'), '',
        startsWith(server_name, 'outbound_.'), 'mutual_tls',
        server_name IN ('', '-'), 'none',
        '') AS security,
    if(direction = 'inbound', ${private_address(own_end)}, '') AS own_address,
    ${private_address(other_end)} AS peer_address
FROM
(
    SELECT
        *,
        trim(TRAILING ';' FROM entry['upstream_cluster']) AS cluster_asked,
        entry['requested_server_name'] AS server_name,
        if(entry['grpc_status'] != '', entry['grpc_status'], entry['grpc_status_number']) AS grpc_status,
        entry['downstream_local_address'] AS own_end,
        multiIf(
            startsWith(cluster_asked, 'outbound|') OR startsWith(cluster_asked, 'inbound-vip|'), entry['upstream_host'],
            entry['downstream_direct_remote_address'] != '', entry['downstream_direct_remote_address'],
            entry['downstream_remote_address']) AS other_end,
        intDiv(time_ns, 1000000)::Int64 AS record_ms,
        if(entry['start_time'] = '', record_ms,
            ifNull(toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull(entry['start_time'], 3, 'UTC')), 0)) AS said_ms,
        match(entry['response_code'], '^[0-9]{1,3}$')
            AND ifNull(toFloat64OrNull(entry['duration']) BETWEEN 0 AND 604800000, 0)
            AND said_ms BETWEEN record_ms - 604800000 AND record_ms + 600000 AS is_understood,
        greatest(if(is_understood, said_ms, record_ms), 0) AS start_ms
    FROM
    (
        WITH CAST(map(), 'Map(LowCardinality(String), String)') AS nothing
        SELECT
            ${resource_names},
            time_ns,
            form,
            multiIf(
                form = 'attributes', attributes,
                form = 'json', JSONExtract(body, 'Map(LowCardinality(String), String)'),
                form = 'text', if(empty(extractGroups(body, ${access_log_line}) AS groups), nothing,
                    mapFromArrays(CAST(${access_log_keys}, 'Array(LowCardinality(String))'), groups)),
                nothing) AS entry
        FROM access_log_lines
    )
)
