-- The series of those of a block of points ($1) that say what they are of ($2), for each day it has points of, unless
-- metric_series knows them for that day. Those of the demo are always stored: its removal takes series by part, and points that come meanwhile need series of their own.
-- `FROM $1` within means the block as well. One number is looked for and not (tenant, fingerprint), which is several times dearer.
WITH ${in_resource(resource_json)}
SELECT
    tenant,
    fingerprint,
    kind,
    temporality AS AggregationTemporality,
    is_monotonic AS IsMonotonic,
    resource_json AS ResourceJson,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_json AS ScopeJson,
    scope_schema_url AS ScopeSchemaUrl,
    service_name AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    attributes AS Attributes,
    toDateTime(${seconds(time_ns)}, 'UTC') AS last_seen_at
FROM $1
WHERE $2 AND (attribute('lowtide.demo') = 'true' OR (tenant, fingerprint, toDate(last_seen_at)) NOT IN (
    SELECT tenant, fingerprint, toDate(last_seen_at)
    FROM metric_series
    WHERE fingerprint IN (SELECT fingerprint FROM $1 WHERE $2)
))
LIMIT 1 BY tenant, fingerprint, toDate(last_seen_at)
