-- A number of milliseconds that a text says (or of MiB: what is believable is the same); NULL if it says none, or more than a week.
if(match($1, '^[0-9]{1,9}([.][0-9]{1,9})?$') AND ifNull(toFloat64OrNull($1), 1e9) <= 604800000, toFloat64OrNull($1), NULL)
