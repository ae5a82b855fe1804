-- What every point of a metric shares. kind: gauge, sum, histogram, exponential_histogram or summary.
${named_metric_columns},
    kind LowCardinality(String),
    temporality UInt8,
    is_monotonic Bool
