Array(Tuple(
        attributes ${key_values},
        ${plain_lists},
        size_bytes UInt32,
        start_time_unix_nano UInt64,
        time_unix_nano UInt64,
        count UInt64,
        sum Nullable(Float64),
        bucket_counts Array(UInt64),
        explicit_bounds Array(Float64),
        exemplars ${exemplars},
        flags UInt32,
        min Nullable(Float64),
        max Nullable(Float64)))
