-- Log records that are lines of a proxy: of its access log, or of its container. One row each. Keeps nothing: what reads
-- them is not even planned for an insert without any.
CREATE TABLE IF NOT EXISTS access_log_lines
(
    ${resource_columns},
    time_ns UInt64,
    form LowCardinality(String),
    body String,
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null
