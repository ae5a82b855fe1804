-- Log records that tell of a run of a function. Keeps nothing: what reads them is not even planned for an insert without any.
CREATE TABLE IF NOT EXISTS function_report_lines
(
    ${resource_columns},
    time_ns UInt64,
    source LowCardinality(String),
    body String
)
ENGINE = Null
