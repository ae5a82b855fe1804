-- One row per point of a summary. Keeps nothing.
CREATE TABLE IF NOT EXISTS summary_points
(
    ${metric_columns},
    attributes Map(LowCardinality(String), String),
    fingerprint UInt64,
    start_ns UInt64,
    time_ns UInt64,
    count UInt64,
    sum Float64,
    quantiles Array(Float64),
    quantile_values Array(Float64),
    size_bytes UInt32,
    flags UInt32
)
ENGINE = Null
