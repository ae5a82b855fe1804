Array(Tuple(
    scope ${scope},
    log_records Array(Tuple(
        time_unix_nano UInt64,
        observed_time_unix_nano UInt64,
        severity_number Int32,
        severity_text String,
        body ${any_value},
        attributes ${key_values},
        ${plain_lists},
        size_bytes UInt32,
        flags UInt32,
        trace_id String,
        span_id String,
        event_name String)),
    schema_url String))
