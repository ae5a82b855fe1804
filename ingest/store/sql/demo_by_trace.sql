-- Rows that are about whole traces of the exporter's naming. Run before the spans go.
(tenant, TraceId) IN (
    SELECT tenant, TraceId FROM otel_traces WHERE simpleJSONExtractString(ResourceJson, 'lowtide.demo') = 'true'
)
