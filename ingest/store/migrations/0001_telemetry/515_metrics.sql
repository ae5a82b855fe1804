-- One row per metric of a resource, its points still nested. Keeps nothing.
-- metric_hash: one number for all that names the metric: who sends it, from which scope, and what it is called.
CREATE TABLE IF NOT EXISTS metrics
(
    ${named_metric_columns},
    metric_hash UInt64,
    ${metric_data}
)
ENGINE = Null
