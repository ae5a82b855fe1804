-- Whether a log record may tell of a run of a function, or of an instance: Lambda's REPORT lines, or an event of its Telemetry API; of what is known to be a
-- function, also the last line of a run in Google's, Cloud Run's entry of a request, Alibaba's metrics of one, or Tencent's report.
(
    startsWith(body, 'REPORT RequestId: ')
    OR startsWith(body, 'INIT_REPORT Init Duration: ')
    OR startsWith(body, 'RESTORE_REPORT Restore Duration: ')
    OR event_name IN ('platform.report', 'platform.runtimeDone', 'platform.initReport', 'platform.restoreReport')
    OR (startsWith(body, '{"time":"') AND position(substring(body, 1, 80), '"type":"platform.') > 0)
    OR (workload_kind = 'Function' AND (
        startsWith(body, 'Function execution took ')
        OR (body = '' AND attributes['http.request.server.duration'] != '')
        OR (startsWith(body, '{') AND (
            (position(body, '"isColdStart"') > 0 AND position(body, '"resourceMode"') > 0)
            OR position(body, '"SCF_RequestId"') > 0
            OR position(body, '/logs/run.googleapis.com%2Frequests"') > 0)))))
