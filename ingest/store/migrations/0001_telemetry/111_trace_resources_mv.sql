-- Resolves each resource once, before its spans are unfolded.
CREATE MATERIALIZED VIEW IF NOT EXISTS trace_resources_mv TO trace_resources AS
SELECT
    _batch,
    tenant,
    received_ns,
    resource,
    resource_schema_url,
    ${identity},
    scope_spans
FROM
(
    SELECT
        _batch,
        tenant,
        received_ns,
        ${attributes_of(sender)} AS resource,
        resource_schema_url,
        scope_spans
    FROM
    (
        SELECT
            lowtide_batch AS _batch,
            lowtide_tenant AS tenant,
            lowtide_received_ns AS received_ns,
            arrayJoin(resource_spans) AS entry,
            tupleElement(entry, 'resource') AS sender,
            tupleElement(entry, 'schema_url') AS resource_schema_url,
            tupleElement(entry, 'scope_spans') AS scope_spans
        FROM otlp_traces
    )
)
