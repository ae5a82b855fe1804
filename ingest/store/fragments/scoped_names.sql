-- The columns that every record of a scope shares, from `scopes_of`.
${resource_names},
        scope.name AS scope_name,
        scope.version AS scope_version,
        ${attributes_of(scope)} AS scope_attributes,
        scope_schema_url
