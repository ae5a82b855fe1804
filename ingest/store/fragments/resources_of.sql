-- The resources of the requests in $1: $2 has them, and each its scopes as $3.
WITH key -> resource[key] AS attribute
SELECT
    _batch,
    tenant,
    received_ns,
    resource,
    toJSONString(resource) AS resource_json,
    resource_schema_url,
    ${identity},
    $3
FROM
(
    SELECT
        _batch,
        tenant,
        received_ns,
        ${attributes_of(sender)} AS resource,
        resource_schema_url,
        $3
    FROM
    (
        SELECT
            lowtide_batch AS _batch,
            lowtide_tenant AS tenant,
            lowtide_received_ns AS received_ns,
            arrayJoin($2) AS entry,
            tupleElement(entry, 'resource') AS sender,
            tupleElement(entry, 'schema_url') AS resource_schema_url,
            tupleElement(entry, '$3') AS $3
        FROM $1
    )
)
