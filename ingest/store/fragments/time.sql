-- Nanoseconds since 1970 as a time. What lies beyond 2262 becomes its last moment instead of wrapping around.
fromUnixTimestamp64Nano(toInt64(least($1, 9223372036854775807)), 'UTC')
