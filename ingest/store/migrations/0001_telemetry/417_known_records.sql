-- The log records that say something of requests, runs or starts: a few of many. What hangs on it costs nothing for all the
-- others, and is not even planned for an insert without any. Keeps nothing.
CREATE TABLE IF NOT EXISTS known_records
(
    ${resource_columns},
    time_ns UInt64,
    event_name LowCardinality(String),
    body String,
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null
