-- The times of all points of a resource, of whatever kind.
arrayConcat(
        arrayFlatten(${scope_metrics.metrics.gauge.data_points.time_unix_nano}),
        arrayFlatten(${scope_metrics.metrics.sum.data_points.time_unix_nano}),
        arrayFlatten(${scope_metrics.metrics.histogram.data_points.time_unix_nano}),
        arrayFlatten(${scope_metrics.metrics.exponential_histogram.data_points.time_unix_nano}),
        arrayFlatten(${scope_metrics.metrics.summary.data_points.time_unix_nano}))
