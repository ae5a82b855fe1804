-- One row per point of a gauge or sum. is_known: its series is in metric_series, and its attributes were left behind.
-- Keeps nothing.
CREATE TABLE IF NOT EXISTS number_points
(
    ${metric_columns},
    attributes Map(LowCardinality(String), String),
    fingerprint UInt64,
    is_known Bool,
    start_ns UInt64,
    time_ns UInt64,
    value Float64,
    size_bytes UInt32,
    flags UInt32,
    exemplar_attributes Array(Map(LowCardinality(String), String)),
    exemplar_times Array(UInt64),
    exemplar_values Array(Float64),
    exemplar_span_ids Array(String),
    exemplar_trace_ids Array(String)
)
ENGINE = Null
