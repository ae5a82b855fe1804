-- The points of a metric that are not plain numbers.
histogram Tuple(data_points ${histogram_data_points}, aggregation_temporality Int32),
    exponential_histogram Tuple(
        data_points ${exponential_histogram_data_points}, aggregation_temporality Int32),
    summary Tuple(data_points ${summary_data_points})
