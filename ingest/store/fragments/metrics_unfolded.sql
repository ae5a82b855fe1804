-- The metrics of a resource, one row each.
(
    SELECT
        ${resource_names},
        scope_name,
        scope_version,
        scope_attributes,
        scope_schema_url,
        arrayJoin(metrics) AS metric
    FROM
    (
        SELECT
            ${resource_names},
            scope_entry.scope.name AS scope_name,
            scope_entry.scope.version AS scope_version,
            ${attributes_of(scope_entry.scope)} AS scope_attributes,
            scope_entry.schema_url AS scope_schema_url,
            scope_entry.metrics AS metrics
        FROM
        (
            SELECT
                ${resource_names},
                arrayJoin(scope_metrics) AS scope_entry
            FROM metric_resources
        )
    )
)
