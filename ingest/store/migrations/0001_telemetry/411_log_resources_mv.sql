-- Resolves each resource once, before its records are unfolded.
CREATE MATERIALIZED VIEW IF NOT EXISTS log_resources_mv TO log_resources AS
${resources_of(otlp_logs, resource_logs, scope_logs)}
