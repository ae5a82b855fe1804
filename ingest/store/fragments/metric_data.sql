-- The points of a metric, of which it has one kind.
gauge Tuple(data_points ${number_data_points}),
    sum Tuple(data_points ${number_data_points}, aggregation_temporality Int32, is_monotonic Bool),
    histogram Tuple(data_points ${histogram_data_points}, aggregation_temporality Int32),
    exponential_histogram Tuple(
        data_points ${exponential_histogram_data_points}, aggregation_temporality Int32),
    summary Tuple(data_points ${summary_data_points})
