-- The latest time of all points of a resource, in ns; 0 if there is none.
arrayMax(arrayMap(entry -> arrayMax(arrayMap(metric -> arrayMax(arrayPushFront(arrayConcat(
            metric.gauge.data_points.time_unix_nano, metric.sum.data_points.time_unix_nano,
            metric.histogram.data_points.time_unix_nano, metric.exponential_histogram.data_points.time_unix_nano,
            metric.summary.data_points.time_unix_nano), 0)), entry.metrics)), scope_metrics))
