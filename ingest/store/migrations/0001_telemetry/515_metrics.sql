-- One row per metric of a resource, its points still nested. Keeps nothing.
-- metric_hash: one number for all that names the metric: who sends it, from which scope, and what it is called.
CREATE TABLE IF NOT EXISTS metrics
(
    ${resource_columns},
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String),
    scope_schema_url LowCardinality(String),
    name LowCardinality(String),
    description LowCardinality(String),
    unit LowCardinality(String),
    metric_hash UInt64,
    gauge Tuple(data_points ${number_data_points}),
    sum Tuple(data_points ${number_data_points}, aggregation_temporality Int32, is_monotonic Bool),
    histogram Tuple(data_points ${histogram_data_points}, aggregation_temporality Int32),
    exponential_histogram Tuple(
        data_points ${exponential_histogram_data_points}, aggregation_temporality Int32),
    summary Tuple(data_points ${summary_data_points})
)
ENGINE = Null
