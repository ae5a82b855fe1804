-- Resolves each resource once, before its records are unfolded.
CREATE MATERIALIZED VIEW IF NOT EXISTS log_resources_mv TO log_resources AS
SELECT
    _batch,
    tenant,
    received_ns,
    resource,
    resource_schema_url,
    ${identity},
    scope_logs
FROM
(
    SELECT
        _batch,
        tenant,
        received_ns,
        ${attributes_of(sender)} AS resource,
        resource_schema_url,
        scope_logs
    FROM
    (
        SELECT
            lowtide_batch AS _batch,
            lowtide_tenant AS tenant,
            lowtide_received_ns AS received_ns,
            arrayJoin(resource_logs) AS entry,
            tupleElement(entry, 'resource') AS sender,
            tupleElement(entry, 'schema_url') AS resource_schema_url,
            tupleElement(entry, 'scope_logs') AS scope_logs
        FROM otlp_logs
    )
)
