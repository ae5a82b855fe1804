-- One row per workload that the costs of days know whose postings are given: what it is called.
SELECT
    workload_id,
    max(cost_workloads.cluster) AS cluster,
    max(cost_workloads.environment) AS environment,
    max(cost_workloads.namespace) AS namespace,
    max(cost_workloads.workload_kind) AS workload_kind,
    max(cost_workloads.workload_name) AS workload_name
FROM cost_workloads
WHERE tenant = {tenant:String}
    AND day IN {days:Array(Date)}
    AND posting IN {postings:Array(UInt64)}
GROUP BY workload_id
