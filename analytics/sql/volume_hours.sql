-- One row per persistent volume and hour in which kube-state-metrics named it: how large it is (from a byte to an EiB, or it is not
-- believed), whose claim has it ('' for nobody's: a volume that was released stays in the namespace of its claim), and what may be
-- the name of its price: skus, the type in its storage class (by the cluster's latest snapshot), and the class itself.
SELECT
    volumes.cluster AS cluster,
    volumes.volume AS volume,
    volumes.hour AS hour,
    volumes.capacity_bytes AS capacity_bytes,
    if(volumes.claim != '', volumes.claim_namespace, claims.namespace) AS namespace,
    multiIf(volumes.phase NOT IN ('', 'Bound'), '', volumes.claim != '', volumes.claim, claims.claim) AS claim,
    arrayDistinct(arrayFilter(sku -> sku != '', [classes.type, volumes.storage_class])) AS skus
FROM
(
    SELECT
        cluster,
        name AS volume,
        period AS hour,
        argMaxIf(value, seen_at, fact = 'kube_persistentvolume_capacity_bytes') AS capacity_bytes,
        argMaxIf(labels['claim_namespace'], seen_at, fact = 'kube_persistentvolume_claim_ref') AS claim_namespace,
        argMaxIf(labels['name'], seen_at, fact = 'kube_persistentvolume_claim_ref') AS claim,
        argMaxIf(toString(labels['phase']), seen_at, fact = 'kube_persistentvolume_status_phase') AS phase,
        argMaxIf(toString(labels['storageclass']), seen_at, fact = 'kube_persistentvolume_info') AS storage_class
    FROM kubernetes_facts
    WHERE tenant = {tenant:String}
        AND fact IN (
            'kube_persistentvolume_capacity_bytes', 'kube_persistentvolume_claim_ref', 'kube_persistentvolume_info',
            'kube_persistentvolume_status_phase')
        AND period >= toStartOfHour({start:DateTime('UTC')})
        AND period < {end:DateTime('UTC')}
    GROUP BY cluster, volume, hour
    HAVING capacity_bytes BETWEEN 1 AND 1152921504606846976
) AS volumes
LEFT JOIN
(
    SELECT
        cluster,
        period AS hour,
        toString(labels['volumename']) AS volume,
        argMax(namespace, seen_at) AS namespace,
        argMax(name, seen_at) AS claim
    FROM kubernetes_facts
    WHERE tenant = {tenant:String}
        AND fact = 'kube_persistentvolumeclaim_info'
        AND period >= toStartOfHour({start:DateTime('UTC')})
        AND period < {end:DateTime('UTC')}
        AND labels['volumename'] != ''
    GROUP BY cluster, hour, volume
) AS claims ON volumes.cluster = claims.cluster AND volumes.hour = claims.hour AND volumes.volume = claims.volume
LEFT JOIN
(
    SELECT
        cluster,
        name,
        arrayFirst(
            text -> text != '',
            arrayMap(
                key -> JSONExtractString(extract, 'parameters', key),
                ['type', 'skuName', 'skuname', 'storageaccounttype'])) AS type
    FROM kubernetes_inventory
    WHERE tenant = {tenant:String} AND kind = 'StorageClass' AND api_group = 'storage.k8s.io'
) AS classes ON volumes.cluster = classes.cluster AND volumes.storage_class = classes.name
