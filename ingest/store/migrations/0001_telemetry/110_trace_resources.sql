-- One row per resource of a trace request: who it is, and its spans still nested. Keeps nothing.
CREATE TABLE IF NOT EXISTS trace_resources
(
    ${resource_columns},
    resource Map(LowCardinality(String), String),
    scope_spans ${scope_spans}
)
ENGINE = Null
