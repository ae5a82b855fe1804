-- Whether a log record may tell of a run of a function: Lambda's REPORT line, or an event of its Telemetry API.
(
    startsWith(body, 'REPORT RequestId: ')
    OR event_name IN ('platform.report', 'platform.runtimeDone')
    OR (startsWith(body, '{"time":"') AND position(substring(body, 1, 80), '"type":"platform.') > 0))
