-- When the records of a resource were: their own time, or when they were observed, or came.
arrayMap(
        (own, observed) -> multiIf(own > 0, own, observed > 0, observed, received_ns),
        arrayFlatten(${scope_logs.log_records.time_unix_nano}),
        arrayFlatten(${scope_logs.log_records.observed_time_unix_nano}))
