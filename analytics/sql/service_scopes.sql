-- One row per service and instrumentation scope of its spans in the range.
SELECT DISTINCT
    simpleJSONExtractString(ResourceJson, 'service.namespace') AS service_namespace,
    ServiceName AS service_name,
    ScopeName AS scope_name,
    ScopeVersion AS scope_version
FROM otel_traces
WHERE tenant = {tenant:String}
    AND Timestamp >= {start:DateTime('UTC')}
    AND Timestamp < {end:DateTime('UTC')}
    AND ServiceName != ''
    AND ScopeName != ''
