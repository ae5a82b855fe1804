-- One row per workload (0: nobody), cluster and kind of line: what days cost whose postings are given.
SELECT
    workload_id,
    cluster,
    line,
    sum(cost_hours.cpu_nano) AS cpu_nano,
    sum(cost_hours.memory_nano) AS memory_nano,
    sum(cost_hours.functions_nano) AS functions_nano,
    sum(cost_hours.storage_nano) AS storage_nano,
    sum(cost_hours.used_nano) AS used_nano,
    toDateTime64(minIf(cost_hours.paid_from, cost_hours.paid_from > 0), 6, 'UTC') AS paid_from,
    toDateTime64(max(cost_hours.paid_until), 6, 'UTC') AS paid_until
FROM cost_hours
WHERE tenant = {tenant:String}
    AND toDate(hour) IN {days:Array(Date)}
    AND posting IN {postings:Array(UInt64)}
GROUP BY workload_id, cluster, line
