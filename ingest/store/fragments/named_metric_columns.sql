-- What every kind of point of a metric shares.
${scoped_columns},
    name LowCardinality(String),
    description LowCardinality(String),
    unit LowCardinality(String)
