-- One without a duration, or with one that nobody can have waited for, is left out. The time of an event is its own, as of runs. Lambda names
-- no phase in a line of what it made ahead of runs.
CREATE MATERIALIZED VIEW IF NOT EXISTS function_initializations_mv TO function_initializations AS
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    source,
    ${time(end_ns)} AS ended_at,
    said['initialization']::LowCardinality(String) AS initialization,
    said['phase']::LowCardinality(String) AS phase,
    ifNull(known_ms, 0) AS duration_ms,
    said['status']::String AS status,
    if(simpleJSONExtractString(resource_json, 'faas.version') = '', revision, simpleJSONExtractString(resource_json, 'faas.version'))::String
        AS version
FROM
(
    SELECT
        ${resource_names},
        source,
        ifNull(toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull(JSONExtractString(body, 'time'), 3, 'UTC')), 0) AS said_ms,
        intDiv(time_ns, 1000000)::Int64 AS record_ms,
        if(said_ms > 0 AND said_ms BETWEEN record_ms - 604800000 AND record_ms + 600000,
            toUInt64(said_ms) * 1000000, time_ns) AS end_ns,
        if(JSONHas(body, 'record'), JSONExtractRaw(body, 'record'), body) AS record,
        startsWith(body, 'RESTORE_REPORT') OR (form = 'lambda_init_event' AND NOT JSONHas(record, 'initializationType')
            AND NOT JSONHas(record, 'phase')) AS is_restore,
        if(form = 'lambda_init_line',
            map(
                'duration', extract(body, '^\\w+ \\w+ Duration: (\\S+) ms'),
                'initialization', if(is_restore, 'snap-start', ''),
                'phase', if(is_restore, 'restore', extract(body, '\\sPhase: (\\w+)')),
                'status', extract(body, '\\sStatus: (\\w+)')),
            map(
                'duration', JSONExtractRaw(record, 'metrics', 'durationMs'),
                'initialization', if(is_restore, 'snap-start', JSONExtractString(record, 'initializationType')),
                'phase', if(is_restore, 'restore', JSONExtractString(record, 'phase')),
                'status', JSONExtractString(record, 'status'))) AS said,
        ${milliseconds(said['duration'])} AS known_ms
    FROM function_report_lines
    WHERE startsWith(form, 'lambda_init')
)
WHERE isNotNull(known_ms)
