-- One row per service and container of a workload that was heard since the range began: what its latest resource says of SDK,
-- distribution and runtime. Containers without a service (sidecars, seen by the kubelet) have an empty service_name.
SELECT
    namespace,
    workload_name,
    service_namespace,
    service_name,
    container,
    groupUniqArray((
        resource['telemetry.sdk.language'], resource['telemetry.sdk.name'], resource['telemetry.sdk.version'],
        resource['telemetry.distro.name'], if(resource['telemetry.distro.version'] != '', resource['telemetry.distro.version'],
            resource['telemetry.auto.version']),
        resource['process.runtime.name'], resource['process.runtime.version'])) AS described
FROM
(
    SELECT
        namespace,
        workload_name,
        service_namespace,
        service_name,
        container,
        mapFilter((name, text) -> text != '', argMaxMerge(attributes)) AS resource
    FROM workloads
    WHERE tenant = {tenant:String}
    GROUP BY
        cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, container, node
    HAVING max(last_seen_at) >= {start:DateTime('UTC')} AND min(first_seen_at) < {end:DateTime('UTC')}
)
GROUP BY namespace, workload_name, service_namespace, service_name, container
