-- Resolves each resource once, before its metrics are unfolded.
CREATE MATERIALIZED VIEW IF NOT EXISTS metric_resources_mv TO metric_resources AS
${resources_of(otlp_metrics, resource_metrics, scope_metrics)}
