-- One row per pod that kube-state-metrics named in the range and that belongs to somebody: the pod as a number, and its
-- workload's.
SELECT
    sipHash64(cluster, namespace, pod) AS pod_id,
    owner_kind AS workload_kind,
    owner_name AS workload_name,
    ${workload_id('')} AS owner_id
FROM
(
    ${pod_owners}
)
WHERE owner_kind != ''
