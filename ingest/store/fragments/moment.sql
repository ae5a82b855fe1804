-- Seconds since 1970 as a time, NULL for none.
if($1 > 0, toDateTime(toUInt32(least($1, 4294967295)), 'UTC'), NULL)
