CREATE MATERIALIZED VIEW IF NOT EXISTS proxy_overhead_1m_mv TO proxy_overhead_1m AS
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    direction,
    toDateTime(intDiv(${seconds(end_ns)}, 60) * 60, 'UTC') AS minute,
    count() AS requests,
    sum(entry.duration_ms) AS duration_ms,
    sum(waited_ms) AS upstream_ms,
    sum(added_ms) AS overhead_ms,
    max(added_ms) AS overhead_ms_max,
    sumMap(map(${duration_index(added_ms * 1000000)}, 1::UInt64)) AS overheads
FROM
(
    SELECT
        *,
        assumeNotNull(upstream_ms) AS waited_ms,
        greatest(access_log_entries.duration_ms - waited_ms, 0) AS added_ms
    FROM access_log_entries
    WHERE form IN ('text', 'json', 'attributes') AND is_http AND isNotNull(upstream_ms) AND NOT is_probe
) AS entry
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    direction,
    minute
