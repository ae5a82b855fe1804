-- One row per point of a histogram. Keeps nothing.
CREATE TABLE IF NOT EXISTS histogram_points
(
    ${metric_columns},
    attributes Map(LowCardinality(String), String),
    fingerprint UInt64,
    start_ns UInt64,
    time_ns UInt64,
    count UInt64,
    sum Float64,
    bucket_counts Array(UInt64),
    explicit_bounds Array(Float64),
    min Float64,
    max Float64,
    size_bytes UInt32,
    flags UInt32,
    exemplar_attributes Array(Map(LowCardinality(String), String)),
    exemplar_times Array(UInt64),
    exemplar_values Array(Float64),
    exemplar_span_ids Array(String),
    exemplar_trace_ids Array(String)
)
ENGINE = Null
