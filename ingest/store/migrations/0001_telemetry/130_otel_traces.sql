-- Spans, one row each. Columns in CamelCase are those of the OpenTelemetry Collector's ClickHouse exporter, and what
-- it leaves out: scope attributes, schema URLs, flags.
CREATE TABLE IF NOT EXISTS otel_traces
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    _batch UInt64 CODEC(Delta(8), ZSTD(1)),
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ${json_columns},
    ScopeName LowCardinality(String) CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9, 'UTC'),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    INDEX trace_ids TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    SpanAttributeItems Array(String) ALIAS ${items(SpanAttributes)},
    INDEX span_attribute_items SpanAttributeItems TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX durations Duration TYPE minmax GRANULARITY 1
)
ENGINE = ${merge_tree}
PARTITION BY toDate(Timestamp)
ORDER BY (tenant, ServiceName, SpanName, toDateTime(Timestamp))
TTL toDateTime(Timestamp) + INTERVAL ${retention_traces_days} DAY
SETTINGS ${table_settings}
