-- What every record of a resource shares. resource_json: its attributes as JSON, which is written once for a resource and
-- not once for a record.
_batch UInt64,
    tenant LowCardinality(String),
    received_ns UInt64,
    resource_json LowCardinality(String),
    resource_schema_url LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    revision LowCardinality(String),
    node LowCardinality(String),
    pod LowCardinality(String),
    container LowCardinality(String)
