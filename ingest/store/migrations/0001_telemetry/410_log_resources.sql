-- One row per resource of a log request: who it is, and its records still nested. Keeps nothing.
CREATE TABLE IF NOT EXISTS log_resources
(
    ${resource_columns},
    resource Map(LowCardinality(String), String),
    scope_logs ${scope_logs}
)
ENGINE = Null
