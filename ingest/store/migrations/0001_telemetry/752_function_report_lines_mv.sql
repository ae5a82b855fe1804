-- By their first letters, or their event name. Lambda writes the events of the Telemetry API into its log if that is JSON: the two
-- are sources of their own, so that an event that comes both ways is no two requests. Lines that others might write as well are read of
-- functions only.
CREATE MATERIALIZED VIEW IF NOT EXISTS function_report_lines_mv TO function_report_lines AS
SELECT
    ${resource_names},
    time_ns,
    multiIf(
        form NOT IN ('', 'lambda_event', 'lambda_init_event'), 'function_log',
        event_name IN ('platform.report', 'platform.initReport', 'platform.restoreReport'), 'function_telemetry',
        event_name = 'platform.runtimeDone', 'function_runtime',
        form = 'lambda_init_event' OR position(substring(body, 1, 80), '"type":"platform.report"') > 0, 'function_log',
        'function_runtime') AS source,
    multiIf(
        startsWith(body, 'REPORT RequestId: '), 'lambda_line',
        startsWith(body, 'INIT_REPORT Init Duration: ') OR startsWith(body, 'RESTORE_REPORT Restore Duration: '), 'lambda_init_line',
        event_name IN ('platform.report', 'platform.runtimeDone'), 'lambda_event',
        event_name IN ('platform.initReport', 'platform.restoreReport'), 'lambda_init_event',
        startsWith(body, '{"time":"')
            AND multiSearchAny(substring(body, 1, 80), ['"type":"platform.report"', '"type":"platform.runtimeDone"']), 'lambda_event',
        startsWith(body, '{"time":"')
            AND multiSearchAny(substring(body, 1, 80), ['"type":"platform.initReport"', '"type":"platform.restoreReport"']), 'lambda_init_event',
        workload_kind != 'Function', '',
        startsWith(body, 'Function execution took '), 'google_line',
        body = '' AND attributes['http.request.server.duration'] != '', 'cloud_run_request',
        NOT startsWith(body, '{'), '',
        position(body, '"isColdStart"') > 0 AND position(body, '"resourceMode"') > 0, 'alibaba_request',
        position(body, '"SCF_RequestId"') > 0, 'tencent_report',
        position(body, '/logs/run.googleapis.com%2Frequests"') > 0, 'cloud_run_request',
        '') AS form,
    arrayFirst(text -> text != '', [
        attributes['faas.invocation.id'], attributes['faas.invocation_id'], attributes['gcp.label.execution_id'],
        attributes['execution_id'], attributes['log.record.uid']]) AS told_id,
    attributes['http.request.server.duration'] AS told_s,
    attributes['http.response.status_code'] AS told_status,
    body
FROM known_records
WHERE form != ''
