SELECT
    tenant,
    fingerprint,
    any(kind) AS kind,
    any(temporality) AS AggregationTemporality,
    any(is_monotonic) AS IsMonotonic,
    any(resource) AS ResourceAttributes,
    any(resource_schema_url) AS ResourceSchemaUrl,
    any(scope_name) AS ScopeName,
    any(scope_version) AS ScopeVersion,
    any(scope_attributes) AS ScopeAttributes,
    any(scope_schema_url) AS ScopeSchemaUrl,
    any(service_name) AS ServiceName,
    any(name) AS MetricName,
    any(description) AS MetricDescription,
    any(unit) AS MetricUnit,
    any(attributes) AS Attributes,
    toDateTime(max(${seconds(time_ns)}), 'UTC') AS last_seen_at
FROM $1
GROUP BY tenant, fingerprint
