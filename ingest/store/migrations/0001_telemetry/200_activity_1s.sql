-- Requests by workload, revision and second; only seconds in which something began or ended have a row.
-- starts, ends: spans as stored. requests, *_weighted: corrected for sampling. *_ns: sums of offsets inside the second.
-- carried, at midnight UTC: spans that ran over it, so that N restarts with every day.
-- With N(s) = sum(carried) up to s + sum(starts - ends) before s on the same day, the concurrency integral of second s
-- is N(s) + starts - start_ns / 1e9 - (ends - end_ns / 1e9).
-- durations: exponential histogram of OTel's scale 4 (index = ceil(16 * log2(ns)) - 1, 0 for nothing), at the last second.
CREATE TABLE IF NOT EXISTS activity_1s
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    revision LowCardinality(String),
    source LowCardinality(String),
    second DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    requests SimpleAggregateFunction(sum, Decimal(38, 6)) CODEC(ZSTD(1)),
    starts SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    start_ns SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    ends SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    end_ns SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors_weighted SimpleAggregateFunction(sum, Decimal(38, 6)) CODEC(ZSTD(1)),
    busy_ns SimpleAggregateFunction(sum, Decimal(38, 0)) CODEC(ZSTD(1)),
    busy_weighted_ns SimpleAggregateFunction(sum, Decimal(38, 6)) CODEC(ZSTD(1)),
    cold_starts SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    carried SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    durations SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(second)
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, revision, source, second)
TTL second + INTERVAL ${retention_activity_days} DAY
SETTINGS ${table_settings}
