-- A record without an id, or with a duration that nobody can have waited for (a week), tells of no run. The time of an event is its
-- own, so that it is the same whichever way it came, unless it lies further than a week before the record or after it. What Alibaba
-- tells is texts or numbers, by how it came; a request ends when it began and took.
CREATE MATERIALIZED VIEW IF NOT EXISTS function_reports_mv TO function_reports AS
SELECT
    ${resource_names},
    source,
    said['id'] AS invocation_id,
    end_ns - least(end_ns, toUInt64(ifNull(known_ms, 0) * 1000000)) AS start_ns,
    end_ns,
    ifNull(known_ms, 0) AS duration_ms,
    ${milliseconds(said['billed'])} AS billed_ms,
    ${milliseconds(said['memory'])} AS memory_mib,
    ${milliseconds(said['used'])} AS memory_used_mib,
    ${milliseconds(said['init'])} AS init_ms,
    ${milliseconds(said['restore'])} AS restore_ms,
    (isNotNull(init_ms) OR isNotNull(restore_ms) OR said['cold'] = 'true')::UInt8 AS is_cold_start,
    said['status'] AS status,
    simpleJSONExtractString(resource_json, 'faas.version') AS version
FROM
(
    WITH
        key -> replaceAll(JSONExtractRaw(body, key), '"', '') AS alibaba
    SELECT
        ${resource_names},
        source,
        intDiv(time_ns, 1000000)::Int64 AS record_ms,
        if(form = 'alibaba_request',
            toInt64OrZero(alibaba('invocationStartTimestamp')) + toInt64(ifNull(known_ms, 0)),
            ifNull(toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull(JSONExtractString(body, 'time'), 3, 'UTC')), 0)) AS said_ms,
        if(said_ms > 0 AND said_ms BETWEEN record_ms - 604800000 AND record_ms + 600000,
            toUInt64(said_ms) * 1000000, time_ns) AS end_ns,
        if(JSONHas(body, 'record'), JSONExtractRaw(body, 'record'), body) AS record,
        JSONExtractRaw(record, 'metrics') AS metrics,
        multiIf(
            form = 'lambda_line', map(
                'id', extract(body, '^REPORT RequestId: (\\S+)'),
                'duration', extract(body, '^REPORT RequestId: \\S+\\s+(?:Init Duration: \\S+ ms\\s+)?Duration: (\\S+) ms'),
                'billed', extract(body, '\\sBilled Duration: (\\S+) ms'),
                'memory', extract(body, '\\sMemory Size: (\\S+) MB'),
                'used', extract(body, '\\sMax Memory Used: (\\S+) MB'),
                'init', extract(body, '\\sInit Duration: (\\S+) ms'),
                'restore', extract(body, '\\sRestore Duration: (\\S+) ms'),
                'status', extract(body, '\\sStatus: (\\w+)')),
            form = 'google_line', map(
                'id', told_id,
                'duration', extract(body, '^Function execution took (\\d+) ms, finished with status'),
                'status', multiIf(
                    match(body, 'status code: [1-4]\\d\\d$|status: ''ok''$'), 'success',
                    endsWith(body, 'status: ''timeout'''), 'timeout',
                    'error')),
            form = 'alibaba_request' AND alibaba('operation') = 'InvokeFunction', map(
                'id', alibaba('requestId'),
                'duration', alibaba('durationMs'),
                'memory', alibaba('memoryMB'),
                'used', alibaba('memoryUsageMB'),
                'cold', alibaba('isColdStart'),
                'init', if(alibaba('isColdStart') = 'true', alibaba('coldStartLatencyMs'), ''),
                'status', multiIf(
                    alibaba('hasFunctionError') != 'true', 'success',
                    alibaba('errorType') = 'FunctionTimeoutError', 'timeout',
                    'error')),
            form = 'alibaba_request', map('id', ''),
            map(
                'id', JSONExtractString(record, 'requestId'),
                'duration', JSONExtractRaw(metrics, 'durationMs'),
                'billed', JSONExtractRaw(metrics, 'billedDurationMs'),
                'memory', JSONExtractRaw(metrics, 'memorySizeMB'),
                'used', JSONExtractRaw(metrics, 'maxMemoryUsedMB'),
                'init', JSONExtractRaw(metrics, 'initDurationMs'),
                'restore', JSONExtractRaw(metrics, 'restoreDurationMs'),
                'status', JSONExtractString(record, 'status'))) AS said,
        ${milliseconds(said['duration'])} AS known_ms
    FROM function_report_lines
)
WHERE invocation_id != '' AND isNotNull(known_ms)
