-- By their first letters, or their event name. Lambda writes the events of the Telemetry API into its log if that is JSON.
CREATE MATERIALIZED VIEW IF NOT EXISTS function_report_lines_mv TO function_report_lines AS
SELECT
    ${resource_names},
    time_ns,
    multiIf(
        startsWith(body, 'REPORT RequestId: '), 'function_log',
        event_name = 'platform.report', 'function_telemetry',
        event_name = 'platform.runtimeDone', 'function_runtime',
        NOT startsWith(body, '{"time":"'), '',
        position(substring(body, 1, 80), '"type":"platform.report"') > 0, 'function_telemetry',
        position(substring(body, 1, 80), '"type":"platform.runtimeDone"') > 0, 'function_runtime',
        '') AS source,
    body
FROM known_records
WHERE source != ''
