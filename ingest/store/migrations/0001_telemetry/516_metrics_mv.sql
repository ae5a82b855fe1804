-- Unfolds scopes and metrics once for all kinds of points.
CREATE MATERIALIZED VIEW IF NOT EXISTS metrics_mv TO metrics AS
SELECT
    ${resource_names},
    scope_name,
    scope_version,
    scope_json,
    scope_schema_url,
    tupleElement(metric, 'name') AS name,
    tupleElement(metric, 'description') AS description,
    tupleElement(metric, 'unit') AS unit,
    cityHash64(tenant, resource_json, resource_schema_url, scope_name, scope_version, scope_json, scope_schema_url, name,
        description, unit) AS metric_hash,
    tupleElement(metric, 'gauge') AS gauge,
    tupleElement(metric, 'sum') AS sum,
    tupleElement(metric, 'histogram') AS histogram,
    tupleElement(metric, 'exponential_histogram') AS exponential_histogram,
    tupleElement(metric, 'summary') AS summary
FROM
(
    SELECT
        ${scoped_names},
        arrayJoin(metrics) AS metric
    FROM
    (
        ${scopes_of(metric_resources, scope_metrics, metrics)}
    )
)
