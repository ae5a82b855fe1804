-- Runs of functions, each once, of the records in $1. Of the records of one id (a retry keeps it) those
-- of one source count, one attempt each: a report rather than a span, the source that has most, then the one that says most.
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    invocation_id,
    attempt,
    tupleElement(rows[attempt], 1) AS ended_at,
    tupleElement(rows[attempt], 2) AS duration_ms,
    tupleElement(rows[attempt], 3) AS billed_ms,
    tupleElement(rows[attempt], 4) AS memory_mib,
    tupleElement(rows[attempt], 5) AS memory_used_mib,
    tupleElement(rows[attempt], 6) AS init_ms,
    tupleElement(rows[attempt], 7) AS restore_ms,
    tupleElement(rows[attempt], 8) > 0 AS is_cold_start,
    tupleElement(rows[attempt], 9) AS status,
    tupleElement(rows[attempt], 10) AS version,
    source
FROM
(
    SELECT
        tenant,
        ${identity_names},
        service_namespace,
        service_name,
        invocation_id,
        argMin(told, merit) AS rows,
        argMin(teller, merit) AS source
    FROM
    (
        SELECT
            tenant,
            ${identity_names},
            service_namespace,
            service_name,
            invocation_id,
            record.source AS teller,
            arraySort(groupArray((
                ended_at, duration_ms, billed_ms, memory_mib, memory_used_mib, init_ms, restore_ms, is_cold_start, status, version
            ))) AS told,
            (
                teller = 'application',
                -length(told),
                indexOf(['function_telemetry', 'function_log', 'function_runtime', 'application'], teller)
            ) AS merit
        FROM
        (
            SELECT
                tenant,
                ${identity_names},
                service_namespace,
                service_name,
                invocation_id,
                source,
                ended_at,
                max(duration_ms) AS duration_ms,
                max(billed_ms) AS billed_ms,
                max(memory_mib) AS memory_mib,
                max(memory_used_mib) AS memory_used_mib,
                max(init_ms) AS init_ms,
                max(restore_ms) AS restore_ms,
                max(is_cold_start) AS is_cold_start,
                max(status) AS status,
                max(version) AS version
            FROM $1
            GROUP BY tenant, ${identity_names}, service_namespace, service_name, invocation_id, source, ended_at
        ) AS record
        GROUP BY tenant, ${identity_names}, service_namespace, service_name, invocation_id, teller
    )
    GROUP BY tenant, ${identity_names}, service_namespace, service_name, invocation_id
)
ARRAY JOIN arrayEnumerate(rows) AS attempt
