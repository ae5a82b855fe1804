-- One row per function and kind of initialization in the range: how many instances were made so, how many of them failed, and how long it took.
-- Without those of which a run says the same: what went well on demand, in the phase of initialization, or was restored. Of a function that
-- tells them both ways, by its Telemetry API.
SELECT
    ${identity_names},
    service_namespace,
    service_name,
    initialization,
    source,
    count() AS starts,
    countIf(status NOT IN ('', 'success')) AS failed,
    starts AS total_count,
    quantilesExact(0.5, 0.95, 1)(duration_ms) AS total_ms
FROM
(
    SELECT *
    FROM function_initializations FINAL
    WHERE tenant = {tenant:String}
        AND ended_at >= {start:DateTime('UTC')}
        AND ended_at < {end:DateTime('UTC')}
)
WHERE status NOT IN ('', 'success')
    OR phase = 'invoke'
    OR (phase != 'restore' AND initialization NOT IN ('', 'on-demand'))
    OR (phase = '' AND initialization = '')
GROUP BY ${identity_names}, service_namespace, service_name, initialization, source
QUALIFY (source = 'function_telemetry')
    = max(source = 'function_telemetry') OVER (PARTITION BY ${identity_names}, service_namespace, service_name)
