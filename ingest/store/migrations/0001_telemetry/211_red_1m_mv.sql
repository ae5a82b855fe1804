CREATE MATERIALIZED VIEW IF NOT EXISTS red_1m_mv TO red_1m AS
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    name AS operation,
    kind_name AS kind,
    source,
    toDateTime(intDiv(${seconds(end_ns)}, 60) * 60, 'UTC') AS minute,
    sum(weight) AS requests,
    count() AS spans,
    countIf(status_code = 2) AS errors,
    sumIf(weight, status_code = 2) AS errors_weighted,
    sum(toDecimal128(busy, 0)) AS duration_ns,
    sumMap(map(${duration_index(busy)}, 1::UInt64)) AS durations
FROM
(
    SELECT
        *,
        ${kinds}[kind + 1] AS kind_name,
        end_ns - start_ns AS busy
    FROM spans
    WHERE ${is_request}
)
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    operation,
    kind,
    source,
    minute
