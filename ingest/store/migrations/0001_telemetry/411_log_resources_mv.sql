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
        ${attributes_of(entry.resource)} AS resource,
        entry.schema_url AS resource_schema_url,
        entry.scope_logs AS scope_logs
    FROM
    (
        SELECT
            lowtide_batch AS _batch,
            lowtide_tenant AS tenant,
            lowtide_received_ns AS received_ns,
            arrayJoin(resource_logs) AS entry
        FROM otlp_logs
    )
)
