-- A number that a text says, within what is believable (a week in milliseconds, a petabyte); else nought.
least(greatest(ifNull(if(isNaN(toFloat64OrZero($1)), 0, toFloat64OrZero($1)), 0), 0), 1e15)
