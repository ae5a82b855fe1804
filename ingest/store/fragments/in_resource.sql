-- An attribute of the resource that $1 holds as JSON, by its key. On a LowCardinality column the engine asks once for each
-- resource and not for each row.
key -> simpleJSONExtractString($1, key) AS attribute
