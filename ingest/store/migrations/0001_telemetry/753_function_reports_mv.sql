-- A record without an id, or with a duration that nobody can have waited for (a week), tells of no run. The time of an event is its
-- own, so that it is the same whichever way it came, unless it lies further than a week before the record or after it. What Alibaba
-- and Tencent tell is texts or numbers, by how it came. A request of theirs, and of Cloud Run, ends when it began and took; the time
-- of Cloud Run's entry is when it began.
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
        key -> replaceAll(JSONExtractRaw(body, key), '"', '') AS field,
        form = 'cloud_run_request' AND body != '' AS is_entry,
        if(is_entry, replaceRegexpOne(JSONExtractString(body, 'httpRequest', 'latency'), 's$', ''), told_s) AS took_s,
        if(is_entry, JSONExtractRaw(body, 'httpRequest', 'status'), told_status) AS http_status,
        ifNull(toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull(
            JSONExtractString(body, if(is_entry, 'timestamp', 'time')), 3, 'UTC')), 0) AS time_ms
    SELECT
        ${resource_names},
        source,
        intDiv(time_ns, 1000000)::Int64 AS record_ms,
        multiIf(
            form = 'alibaba_request', toInt64OrZero(field('invocationStartTimestamp')),
            form = 'tencent_report', toInt64OrZero(field('SCF_StartTime')),
            form = 'cloud_run_request' AND NOT is_entry, record_ms,
            time_ms) AS begun_ms,
        begun_ms + if(form IN ('alibaba_request', 'tencent_report', 'cloud_run_request'), toInt64(ifNull(known_ms, 0)), 0) AS said_ms,
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
            form = 'cloud_run_request', map(
                'id', if(is_entry, JSONExtractString(body, 'insertId'), told_id),
                'duration', toString(round(ifNull(toFloat64OrNull(took_s), -1) * 1000, 3)),
                'status', multiIf(http_status = '', '', toUInt16OrZero(http_status) < 500, 'success', 'error')),
            form = 'tencent_report' AND startsWith(field('SCF_Message'), 'Report') AND field('SCF_StatusCode') != '202', map(
                'id', field('SCF_RequestId'),
                'duration', field('SCF_Duration'),
                'used', toString(round(ifNull(toFloat64OrNull(field('SCF_MemUsage')), -1) / 1048576, 2)),
                'status', transform(field('SCF_StatusCode'), ['', '200', '433'], ['', 'success', 'timeout'], 'error')),
            form = 'alibaba_request' AND field('operation') = 'InvokeFunction', map(
                'id', field('requestId'),
                'duration', field('durationMs'),
                'memory', field('memoryMB'),
                'used', field('memoryUsageMB'),
                'cold', field('isColdStart'),
                'init', if(field('isColdStart') = 'true', field('coldStartLatencyMs'), ''),
                'status', multiIf(
                    field('hasFunctionError') != 'true', 'success',
                    field('errorType') = 'FunctionTimeoutError', 'timeout',
                    'error')),
            form IN ('alibaba_request', 'tencent_report'), map('id', ''),
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
    WHERE NOT startsWith(form, 'lambda_init')
)
WHERE invocation_id != '' AND isNotNull(known_ms)
