Array(Tuple(
        attributes ${key_values},
        ${plain_lists},
        size_bytes UInt32,
        fingerprint UInt64,
        known_fingerprint UInt64,
        start_time_unix_nano UInt64,
        time_unix_nano UInt64,
        as_double Nullable(Float64),
        as_int Nullable(Int64),
        exemplars ${exemplars},
        flags UInt32))
