-- Every table with rows of its own: where it lies, and its active parts with the bytes that the engine says it
-- wrote of each.
SELECT
    tables.name,
    tables.data_paths[1] AS path,
    groupArrayIf((parts.name, parts.bytes_on_disk), parts.name != '') AS found
FROM system.tables AS tables
LEFT JOIN (
    SELECT table, name, bytes_on_disk FROM system.parts WHERE database = currentDatabase() AND active
) AS parts ON parts.table = tables.name
WHERE tables.database = currentDatabase() AND tables.engine LIKE '%MergeTree'
GROUP BY tables.name, path
ORDER BY tables.name
