-- What persistent volumes are called by their provider: the last part of the handle of their driver. One row per volume.
SELECT
    cluster,
    name AS volume,
    groupUniqArray(lower(arrayElement(splitByRegexp('[/:]', toString(labels['csi_volume_handle'])), -1))) AS ids
FROM kubernetes_facts
WHERE tenant = {tenant:String}
    AND fact = 'kube_persistentvolume_info'
    AND period >= toStartOfHour({start:DateTime('UTC')})
    AND period < {end:DateTime('UTC')}
    AND labels['csi_volume_handle'] != ''
GROUP BY cluster, volume
