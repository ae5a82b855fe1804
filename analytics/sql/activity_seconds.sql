-- One row per chosen workload and second in which a request began or ended, or ran over midnight.
SELECT
    ${workload_id(environment)} AS workload_id,
    second,
    toInt64(sum(activity_1s.starts)) AS starts,
    toInt64(sum(activity_1s.ends)) AS ends,
    toInt64(sum(activity_1s.carried)) AS carried
FROM activity_1s
WHERE tenant = {tenant:String}
    AND second >= {start:DateTime('UTC')}
    AND second < {end:DateTime('UTC')}
    AND source = {source:String}
    AND ${workload_id(environment)} IN {workload_ids:Array(UInt64)}
GROUP BY workload_id, second
