-- Where metric requests enter, one row a request, as the columns mirror opentelemetry.proto.collector.metrics.v1.
-- Keeps nothing. The fields lowtide_* are written behind each request by the loader.
CREATE TABLE IF NOT EXISTS otlp_metrics
(
    lowtide_batch UInt64,
    lowtide_tenant String,
    lowtide_received_ns UInt64,
    resource_metrics Array(Tuple(
        resource Tuple(attributes ${key_values}, ${plain_lists}),
        scope_metrics ${scope_metrics},
        schema_url String))
)
ENGINE = Null
