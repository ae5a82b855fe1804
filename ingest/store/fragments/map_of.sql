-- Attributes that $1 holds as JSON.
JSONExtract($1, 'Map(LowCardinality(String), String)')
