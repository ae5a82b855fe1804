-- One row per resource of a metric request: who it is, and its metrics still nested. Keeps nothing.
CREATE TABLE IF NOT EXISTS metric_resources
(
    ${resource_columns},
    resource Map(LowCardinality(String), String),
    scope_metrics ${scope_metrics}
)
ENGINE = Null
