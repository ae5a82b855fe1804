-- The columns of `metrics` that its points share.
${resource_names},
    scope_name,
    scope_version,
    scope_attributes,
    scope_schema_url,
    name,
    description,
    unit
