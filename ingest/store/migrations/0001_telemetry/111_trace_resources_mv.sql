-- Resolves each resource once, before its spans are unfolded.
CREATE MATERIALIZED VIEW IF NOT EXISTS trace_resources_mv TO trace_resources AS
${resources_of(otlp_traces, resource_spans, scope_spans)}
