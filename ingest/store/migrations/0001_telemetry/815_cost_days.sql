-- Which posting of a day's costs (UTC) counts: the row with the greatest. A posting becomes visible, and what it replaces goes, by
-- one insert here after all its rows are there. total_nano is what the day cost; records, how many records of the day and the
-- hours around it were stored when it was computed, by which later telemetry is noticed; terms, a digest of the prices and settings
-- it was computed with; because, why it was.
CREATE TABLE IF NOT EXISTS cost_days
(
    tenant LowCardinality(String),
    day Date,
    posting UInt64,
    computed_at DateTime64(3, 'UTC'),
    because LowCardinality(String),
    records UInt64,
    terms String,
    total_nano Int64,
    rows UInt64
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, day, posting)
TTL day + INTERVAL ${retention_costs_days} DAY
SETTINGS ${table_settings}
