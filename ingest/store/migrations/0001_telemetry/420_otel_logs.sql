-- Log records, one row each. Columns in CamelCase are those of the OpenTelemetry Collector's ClickHouse exporter.
-- Timestamp: the record's own time, else when it was observed, else when it came.
CREATE TABLE IF NOT EXISTS otel_logs
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    _batch UInt64 CODEC(Delta(8), ZSTD(1)),
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ObservedTimestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8 CODEC(ZSTD(1)),
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8 CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ${json_columns},
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName LowCardinality(String) CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName LowCardinality(String) CODEC(ZSTD(1)),
    LogAttributeItems Array(String) ALIAS ${items(LogAttributes)},
    INDEX trace_ids TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX log_attribute_items LogAttributeItems TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX words lower(Body) TYPE text(tokenizer = 'splitByNonAlpha')
)
ENGINE = ${merge_tree}
PARTITION BY toDate(Timestamp)
ORDER BY (tenant, toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
TTL toDateTime(Timestamp) + INTERVAL ${retention_logs_days} DAY
SETTINGS ${table_settings}
