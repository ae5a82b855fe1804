-- The columns of these tables, and of their names in the lists of what there is: whether values are kept in a dictionary,
-- and whether they may be Decimals.
SELECT name, max(position(type, 'LowCardinality') > 0) AS in_dictionary, max(position(type, 'Decimal') > 0) AS decimal
FROM system.columns
WHERE database IN (currentDatabase(), 'system', 'information_schema', 'INFORMATION_SCHEMA')
    AND table IN ({tables:Array(String)})
GROUP BY name
