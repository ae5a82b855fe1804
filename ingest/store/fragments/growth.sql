-- By how much the counter $1_now is above its last known value in the window `before`; all of it, if it fell, or appeared while
-- its proxy was read; 0, if nothing is known of it before.
ifNull(
                $1_now - anyLast($1_now) OVER before * ($1_now >= anyLast($1_now) OVER before),
                if(appeared AND count() OVER before = 0, ifNull($1_now, 0), 0))
