-- Horizontal pod autoscalers as they were last on each day (UTC), by kube-state-metrics; by the minute, in kubernetes_facts.
CREATE VIEW IF NOT EXISTS kubernetes_autoscalers AS
SELECT
    tenant,
    day,
    cluster,
    namespace,
    last.name AS autoscaler,
    anyIf(last.labels['scaletargetref_kind'], fact LIKE '%_info') AS workload_kind,
    anyIf(last.labels['scaletargetref_name'], fact LIKE '%_info') AS workload_name,
    maxIf(last.value, fact LIKE '%_spec_min_replicas') AS min_replicas,
    maxIf(last.value, fact LIKE '%_spec_max_replicas') AS max_replicas,
    maxIf(last.value, fact LIKE '%_status_current_replicas') AS current_replicas,
    maxIf(last.value, fact LIKE '%_status_desired_replicas') AS desired_replicas,
    max(last.seen_at) AS seen_at
FROM
(
    ${last_facts(kube_horizontalpodautoscaler\_%)}
) AS last
GROUP BY tenant, day, cluster, namespace, autoscaler
