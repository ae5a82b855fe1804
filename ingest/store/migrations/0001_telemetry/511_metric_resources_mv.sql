-- Resolves each resource once, before its metrics are unfolded.
CREATE MATERIALIZED VIEW IF NOT EXISTS metric_resources_mv TO metric_resources AS
SELECT
    _batch,
    tenant,
    received_ns,
    resource,
    resource_schema_url,
    ${identity},
    scope_metrics
FROM
(
    SELECT
        _batch,
        tenant,
        received_ns,
        ${attributes_of(sender)} AS resource,
        resource_schema_url,
        scope_metrics
    FROM
    (
        SELECT
            lowtide_batch AS _batch,
            lowtide_tenant AS tenant,
            lowtide_received_ns AS received_ns,
            arrayJoin(resource_metrics) AS entry,
            tupleElement(entry, 'resource') AS sender,
            tupleElement(entry, 'schema_url') AS resource_schema_url,
            tupleElement(entry, 'scope_metrics') AS scope_metrics
        FROM otlp_metrics
    )
)
