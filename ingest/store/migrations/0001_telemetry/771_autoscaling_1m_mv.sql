-- Who is meant is in the labels where a Prometheus scraped, with exported_ in front where the scraper has such a label itself,
-- and in the resource where the Collector sent. A point that names nobody is left out.
CREATE MATERIALIZED VIEW IF NOT EXISTS autoscaling_1m_mv TO autoscaling_1m AS
SELECT
    tenant,
    autoscaler,
    cluster_told AS cluster,
    namespace_told AS namespace,
    service,
    scaled AS name,
    measure,
    part,
    toDateTime(intDiv(${seconds(time_ns)}, 60) * 60, 'UTC') AS minute,
    min(told) AS lowest,
    max(told) AS highest,
    max((fromUnixTimestamp64Milli(toInt64(intDiv(time_ns, 1000000)), 'UTC'), told)) AS last,
    max(marked) AS is_demo
FROM
(
    WITH
        ${in_resource(resource_json)},
        keys -> arrayFirst(text -> text != '', arrayMap(key -> attributes[key], keys)) AS label
    SELECT
        tenant,
        multiIf(startsWith(name, 'keda_'), 'keda', name LIKE '%hpa%' OR name LIKE '%horizontal%', 'hpa', 'knative') AS autoscaler,
        if(attributes['cluster'] != '', attributes['cluster'], known.cluster) AS cluster_told,
        arrayFirst(text -> text != '', [
            label(['exported_namespace', 'namespace_name', 'k8s.namespace.name', 'k8s_namespace_name', 'namespace']),
            known.namespace]) AS namespace_told,
        arrayFirst(text -> text != '', [label(['pod', 'pod_name', 'k8s_pod_name']), known.pod]) AS asked_pod,
        multiIf(
            autoscaler != 'knative', '',
            label(['kn.service.name', 'kn_service_name', 'service_name']) != '',
            label(['kn.service.name', 'kn_service_name', 'service_name']), attribute('kn.service.name')) AS service,
        multiIf(
            autoscaler = 'knative', arrayFirst(text -> text != '', [
                label(['kn.revision.name', 'kn_revision_name', 'revision_name']), attribute('kn.revision.name'),
                if(measure = 'queue_depth', extract(asked_pod, '^(.+)-deployment-[a-f0-9]+-[a-z0-9]+$'), '')]),
            autoscaler = 'keda', label(['scaledObject', 'scaledobject', 'scaledJob']),
            attributes['horizontalpodautoscaler'] != '', attributes['horizontalpodautoscaler'],
            attribute('k8s.hpa.name')) AS scaled,
        ${autoscaling_measure} AS measure,
        multiIf(
            measure IN ('metric_value', 'active'), concat(attributes['scaler'], '/', attributes['metric']),
            measure = 'queue_depth', asked_pod, '') AS part,
        time_ns,
        value AS told,
        attribute('lowtide.demo') = 'true' AS marked
    FROM known_points AS known
    WHERE name IN (
        ${autoscaling_metrics})
        AND scaled != ''
)
GROUP BY
    tenant,
    autoscaler,
    cluster,
    namespace,
    service,
    name,
    measure,
    part,
    minute
