-- The columns of `metrics` that its points share.
${resource_names},
    scope_name,
    scope_version,
    scope_json,
    scope_schema_url,
    name,
    description,
    unit
