Array(Tuple(
            filtered_attributes ${key_values},
            time_unix_nano UInt64,
            as_double Nullable(Float64),
            as_int Nullable(Int64),
            span_id String,
            trace_id String))
