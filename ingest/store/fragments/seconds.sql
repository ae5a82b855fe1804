-- Whole seconds since 1970 that a DateTime can hold.
toUInt32(least(intDiv($1, 1000000000), 4294967295))
