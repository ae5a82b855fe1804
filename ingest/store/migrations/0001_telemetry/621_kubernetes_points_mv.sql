-- kind and name: the object, as the metric's name tells: kube_pod_owner is of the Pod in the label `pod`. A scraper that has
-- labels of its own for a target (no honor_labels) puts exported_ before the metric's. The cluster is an external label of
-- Prometheus, or of the resource. The node of a kubelet is a label of the target, or its address if that is a bare name.
-- instance: the address of a machine.
CREATE MATERIALIZED VIEW IF NOT EXISTS kubernetes_points_mv TO kubernetes_points AS
WITH
    key -> if(known.attributes[concat('exported_', key)] != '',
        known.attributes[concat('exported_', key)], known.attributes[key]) AS label,
    if(startsWith(known.name, 'kube_'), extract(known.name, '^kube_([a-z]+)_'), 'pod') AS word,
    simpleJSONExtractString(resource_json, 'service.instance.id') AS target
SELECT
    tenant,
    if(known.attributes['cluster'] != '', known.attributes['cluster'], known.cluster) AS cluster,
    known.name AS fact,
    transform(
        word,
        [
            'pod', 'replicaset', 'deployment', 'statefulset', 'job', 'namespace', 'node', 'persistentvolume',
            'persistentvolumeclaim', 'storageclass', 'service', 'horizontalpodautoscaler'],
        [
            'Pod', 'ReplicaSet', 'Deployment', 'StatefulSet', 'Job', 'Namespace', 'Node', 'PersistentVolume',
            'PersistentVolumeClaim', 'StorageClass', 'Service', 'HorizontalPodAutoscaler'],
        word) AS kind,
    label('namespace') AS namespace,
    label(if(word = 'job', 'job_name', word)) AS name,
    known.attributes['uid'] AS uid,
    label('container') AS container,
    multiIf(
        label('node') != '', label('node'),
        known.attributes['kubernetes_io_hostname'] != '', known.attributes['kubernetes_io_hostname'],
        startsWith(known.name, 'kube_') OR position(target, ':') > 0, '',
        target) AS node,
    if(known.name = 'kube_node_info', known.attributes['internal_ip'], replaceRegexpOne(target, ':[0-9]+$', '')) AS instance,
    known.attributes['resource'] AS resource,
    if(
        simpleJSONExtractString(resource_json, 'lowtide.demo') = 'true',
        mapConcat(known.attributes, CAST(map('lowtide.demo', 'true'), 'Map(LowCardinality(String), String)')),
        known.attributes) AS attributes,
    time_ns,
    value
FROM known_points AS known
WHERE known.name IN (
    ${kube_state_metrics},
    ${cadvisor_metrics},
    ${node_exporter_metrics})
