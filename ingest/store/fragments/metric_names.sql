${metric_named},
    kind,
    temporality,
    is_monotonic
