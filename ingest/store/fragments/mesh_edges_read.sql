-- Ten minutes more on both sides: where the last values before the range are, and what tells whether counters went on.
tenant = {tenant:String}
                AND minute >= {start:DateTime('UTC')} - INTERVAL 10 MINUTE
                AND minute < {end:DateTime('UTC')} + INTERVAL 10 MINUTE
