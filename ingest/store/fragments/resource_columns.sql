-- What every record of a resource shares.
_batch UInt64,
    tenant LowCardinality(String),
    received_ns UInt64,
    resource Map(LowCardinality(String), String),
    resource_schema_url LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    revision LowCardinality(String),
    node LowCardinality(String),
    pod LowCardinality(String),
    container LowCardinality(String)
