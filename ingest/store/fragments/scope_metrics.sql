Array(Tuple(
    scope ${scope},
    metrics Array(Tuple(
        name String,
        description String,
        unit String,
        ${metric_data})),
    schema_url String))
