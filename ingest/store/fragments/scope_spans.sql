Array(Tuple(
    scope ${scope},
    spans Array(Tuple(
        trace_id String,
        span_id String,
        trace_state String,
        parent_span_id String,
        name String,
        kind Int32,
        start_time_unix_nano UInt64,
        end_time_unix_nano UInt64,
        attributes ${key_values},
        ${plain_lists},
        size_bytes UInt32,
        events Array(Tuple(time_unix_nano UInt64, name String, attributes ${key_values})),
        links Array(Tuple(trace_id String, span_id String, trace_state String, attributes ${key_values})),
        status Tuple(message String, code Int32),
        flags UInt32)),
    schema_url String))
