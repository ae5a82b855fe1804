-- What may be read of each table of the database by somebody who is confined to a tenant: `rows` of that tenant, what
-- its own tables give (`view`), or `nothing`, for a table whose rows name no tenant.
SELECT
    name,
    multiIf(
        engine = 'View', 'view',
        name IN (SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'tenant'), 'rows',
        'nothing'
    ) AS kind
FROM system.tables
WHERE database = currentDatabase()
ORDER BY name
