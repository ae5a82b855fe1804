-- Persistent volumes and claims as they were last on each day (UTC), by kube-state-metrics: a volume with the claim that has it, a
-- volume nobody claims (claim ''), a claim that has none yet (volume '').
CREATE VIEW IF NOT EXISTS kubernetes_volumes AS
SELECT
    if(volumes.volume != '', volumes.tenant, claims.tenant) AS tenant,
    if(volumes.volume != '', volumes.day, claims.day) AS day,
    if(volumes.volume != '', volumes.cluster, claims.cluster) AS cluster,
    volumes.volume AS volume,
    if(claims.claim != '', claims.namespace, volumes.claim_namespace) AS namespace,
    if(claims.claim != '', claims.claim, volumes.claim) AS claim,
    if(volumes.storage_class != '', volumes.storage_class, claims.storage_class) AS storage_class,
    if(volumes.phase != '', volumes.phase, claims.phase) AS phase,
    volumes.capacity_bytes AS capacity_bytes,
    claims.requested_bytes AS requested_bytes,
    volumes.csi_driver AS csi_driver,
    volumes.volume_handle AS volume_handle,
    volumes.reclaim_policy AS reclaim_policy,
    greatest(volumes.seen_at, claims.seen_at) AS seen_at
FROM
(
    SELECT
        tenant,
        day,
        cluster,
        last.name AS volume,
        anyIf(last.labels['storageclass'], fact = 'kube_persistentvolume_info') AS storage_class,
        anyIf(last.labels['csi_driver'], fact = 'kube_persistentvolume_info') AS csi_driver,
        anyIf(last.labels['csi_volume_handle'], fact = 'kube_persistentvolume_info') AS volume_handle,
        anyIf(last.labels['reclaim_policy'], fact = 'kube_persistentvolume_info') AS reclaim_policy,
        anyIf(last.labels['claim_namespace'], fact = 'kube_persistentvolume_claim_ref') AS claim_namespace,
        anyIf(last.labels['name'], fact = 'kube_persistentvolume_claim_ref') AS claim,
        anyIf(last.labels['phase'], fact = 'kube_persistentvolume_status_phase') AS phase,
        maxIf(last.value, fact = 'kube_persistentvolume_capacity_bytes') AS capacity_bytes,
        max(last.seen_at) AS seen_at
    FROM
    (
        ${last_facts(kube_persistentvolume\_%)}
    ) AS last
    GROUP BY tenant, day, cluster, volume
) AS volumes
FULL JOIN
(
    SELECT
        tenant,
        day,
        cluster,
        namespace,
        last.name AS claim,
        anyIf(last.labels['volumename'], fact = 'kube_persistentvolumeclaim_info') AS volume,
        anyIf(last.labels['storageclass'], fact = 'kube_persistentvolumeclaim_info') AS storage_class,
        anyIf(last.labels['phase'], fact = 'kube_persistentvolumeclaim_status_phase') AS phase,
        maxIf(last.value, fact = 'kube_persistentvolumeclaim_resource_requests_storage_bytes') AS requested_bytes,
        max(last.seen_at) AS seen_at
    FROM
    (
        ${last_facts(kube_persistentvolumeclaim\_%)}
    ) AS last
    GROUP BY tenant, day, cluster, namespace, claim
) AS claims
    ON volumes.tenant = claims.tenant
    AND volumes.day = claims.day
    AND volumes.cluster = claims.cluster
    AND volumes.volume = claims.volume
