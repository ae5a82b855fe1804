${resource_names},
    scope_name,
    scope_version,
    scope_attributes,
    scope_schema_url,
    metric.name AS name,
    metric.description AS description,
    metric.unit AS unit
