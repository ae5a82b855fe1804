-- Services of the type LoadBalancer as they were last on each day (UTC), by kube-state-metrics. addresses: what the cloud gave them, IP
-- addresses or host names; none until it did.
CREATE VIEW IF NOT EXISTS kubernetes_load_balancers AS
SELECT
    tenant,
    day,
    cluster,
    namespace,
    last.name AS service,
    anyIf(last.labels['cluster_ip'], fact = 'kube_service_info') AS cluster_ip,
    groupUniqArrayIf(last.part, fact = 'kube_service_status_load_balancer_ingress') AS addresses,
    max(last.seen_at) AS seen_at
FROM
(
    ${last_facts(kube_service\_%)}
) AS last
GROUP BY tenant, day, cluster, namespace, service
HAVING argMaxIf(last.labels['type'], last.seen_at, fact = 'kube_service_spec_type') = 'LoadBalancer'
