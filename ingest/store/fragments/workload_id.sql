-- A workload as one number. $1 is its environment, which tells apart only what no cluster does: a cluster has one environment,
-- while the same service or function may run in several.
sipHash64(cluster, if(workload_kind IN ('Service', 'Function', 'Host'), $1, ''), namespace, workload_kind, workload_name)
