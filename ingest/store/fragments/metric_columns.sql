-- What every point of a metric shares. kind: gauge, sum, histogram, exponential_histogram or summary.
${resource_columns},
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String),
    scope_schema_url LowCardinality(String),
    name LowCardinality(String),
    description LowCardinality(String),
    unit LowCardinality(String),
    kind LowCardinality(String),
    temporality UInt8,
    is_monotonic Bool
