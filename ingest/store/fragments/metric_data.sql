-- The points of a metric, of which it has one kind.
gauge Tuple(data_points ${number_data_points}),
    sum Tuple(data_points ${number_data_points}, aggregation_temporality Int32, is_monotonic Bool),
    ${distribution_data}
