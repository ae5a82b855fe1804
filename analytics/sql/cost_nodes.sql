-- One row per node: what it costs in days whose postings are given, and how long samples know it.
SELECT
    node_id,
    cluster,
    node,
    max(cost_nodes.host_type) AS host_type,
    toDateTime64(min(cost_nodes.begin), 6, 'UTC') AS begin,
    toDateTime64(max(cost_nodes.end), 6, 'UTC') AS end,
    sum(cost_nodes.seconds) AS seconds,
    sum(cost_nodes.cpu_nano) AS cpu_nano,
    sum(cost_nodes.memory_nano) AS memory_nano
FROM cost_nodes
WHERE tenant = {tenant:String}
    AND toDate(hour) IN {days:Array(Date)}
    AND posting IN {postings:Array(UInt64)}
GROUP BY node_id, cluster, node
