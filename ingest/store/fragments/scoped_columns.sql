-- What every record of a scope shares.
${resource_columns},
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_json LowCardinality(String),
    scope_schema_url LowCardinality(String)
