-- One row per span, with everything the tables and rollups behind it need. Keeps nothing.
-- kind: SpanKind of OTLP; size_bytes: as it was sent, as protobuf; weight: how many spans this one stands for (1 / sampling probability, at most 1e6);
-- source: application, proxy (a sidecar's own span) or probe (a health check of the platform).
CREATE TABLE IF NOT EXISTS spans
(
    ${scoped_columns},
    trace_id String,
    span_id String,
    parent_span_id String,
    trace_state String,
    name LowCardinality(String),
    kind UInt8,
    start_ns UInt64,
    end_ns UInt64,
    attributes Map(LowCardinality(String), String),
    flags UInt32,
    size_bytes UInt32,
    status_code UInt8,
    status_message String,
    event_times Array(UInt64),
    event_names Array(LowCardinality(String)),
    event_attributes Array(Map(LowCardinality(String), String)),
    link_trace_ids Array(String),
    link_span_ids Array(String),
    link_trace_states Array(String),
    link_attributes Array(Map(LowCardinality(String), String)),
    weight Decimal(18, 6),
    source LowCardinality(String)
)
ENGINE = Null
