-- Capacity and use of every node of a cluster (cluster set) and every other machine (cluster empty), by minute.
-- cpu_busy_sum / (cpu_busy_sum + cpu_idle_sum) is the utilisation where a machine reports that instead of cores;
-- cpu_time_s_* are counters, as in usage_1m: of the CPU time of all processors (counter '', or `cpu` in the kubelet's
-- /metrics/resource), or of the time one of them was idle (its number). Of what the node exporter tells, the node is not known but the machine's address (instance) and, in some
-- rows, the name it has for itself (machine): named_nodes.sql puts the two together.
CREATE TABLE IF NOT EXISTS nodes_1m
(
    tenant LowCardinality(String),
    cluster LowCardinality(String),
    node LowCardinality(String),
    provider LowCardinality(String),
    region LowCardinality(String),
    zone LowCardinality(String),
    host_type LowCardinality(String),
    instance LowCardinality(String),
    counter LowCardinality(String),
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    cpu_capacity_cores SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_allocatable_cores SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    memory_capacity_bytes SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    memory_allocatable_bytes SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_usage_cores_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    cpu_usage_samples SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    cpu_busy_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    cpu_idle_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    memory_usage_bytes_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    memory_usage_samples SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    memory_available_bytes_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    memory_available_samples SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    machine SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    cpu_time_s_total SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_time_s_last SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), total Float64)) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(minute)
ORDER BY (tenant, cluster, node, provider, region, zone, host_type, instance, counter, minute)
TTL minute + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
