-- The latest time of all points of a resource, in ns; 0 if there is none.
greatest(
            arrayMax(arrayFlatten(scope_metrics.metrics.gauge.data_points.time_unix_nano)),
            arrayMax(arrayFlatten(scope_metrics.metrics.sum.data_points.time_unix_nano)),
            arrayMax(arrayFlatten(scope_metrics.metrics.histogram.data_points.time_unix_nano)),
            arrayMax(arrayFlatten(scope_metrics.metrics.exponential_histogram.data_points.time_unix_nano)),
            arrayMax(arrayFlatten(scope_metrics.metrics.summary.data_points.time_unix_nano)))
