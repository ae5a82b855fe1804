-- The points of gauges and sums whose names say something of usage, capacity or the estate; one row each. A few names of
-- many: what hangs on it costs nothing for all the others. Points that say there is no value, or are no number, are left out.
-- Keeps nothing.
CREATE TABLE IF NOT EXISTS known_points
(
    ${resource_columns},
    scope_name LowCardinality(String),
    name LowCardinality(String),
    unit LowCardinality(String),
    kind LowCardinality(String),
    temporality UInt8,
    is_monotonic Bool,
    attributes Map(LowCardinality(String), String),
    start_ns UInt64,
    time_ns UInt64,
    value Float64
)
ENGINE = Null
