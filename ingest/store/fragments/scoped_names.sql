-- The columns that every record of a scope shares, from `scopes_of`.
${resource_names},
        ${scope.name} AS scope_name,
        ${scope.version} AS scope_version,
        CAST(toJSONString(${attributes_of(scope)}), 'LowCardinality(String)') AS scope_json,
        scope_schema_url
