-- Of `metrics`, those whose points are histograms, exponential histograms or summaries. Keeps nothing: it spares an
-- insert that has none of these their views.
CREATE TABLE IF NOT EXISTS distributions
(
    ${named_metric_columns},
    metric_hash UInt64,
    ${distribution_data}
)
ENGINE = Null
