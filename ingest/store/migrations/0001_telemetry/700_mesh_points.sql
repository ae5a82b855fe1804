-- Points of the counters that say who calls whom (fragments/mesh_metrics.sql); one row each. Keeps nothing: what hangs on it is
-- not even planned for an insert without any.
-- is_delta: the value is growth, and no total.
CREATE TABLE IF NOT EXISTS mesh_points
(
    ${resource_columns},
    name LowCardinality(String),
    attributes Map(LowCardinality(String), String),
    time_ns UInt64,
    value Float64,
    is_delta Bool
)
ENGINE = Null
