-- One row per volume: what it costs in days whose postings are given.
SELECT
    cluster,
    volume,
    sum(cost_volumes.nano) AS nano
FROM cost_volumes
WHERE tenant = {tenant:String}
    AND toDate(hour) IN {days:Array(Date)}
    AND posting IN {postings:Array(UInt64)}
GROUP BY cluster, volume
