-- The scopes of the resources in $1: $2 has them, and each its records as $3.
SELECT
            ${resource_names},
            arrayJoin($2) AS scope_entry,
            tupleElement(scope_entry, 'scope') AS scope,
            tupleElement(scope_entry, 'schema_url') AS scope_schema_url,
            tupleElement(scope_entry, '$3') AS $3
        FROM $1
