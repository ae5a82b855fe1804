-- One row per workload that ever sent anything: its names, and what its resources say about it. The latest value that is
-- not empty counts, since not every scraper sends every attribute. told: those of {keys}, in their order. memory_bytes:
-- faas.max_memory is in bytes, but was in MiB in older conventions, and of some senders still is; no function has less than a MiB.
SELECT
    ${workload_id(seen.environment)} AS workload_id,
    cluster,
    argMaxIf(seen.environment, seen_at, seen.environment != '') AS environment,
    namespace,
    workload_kind,
    workload_name,
    argMaxIf(seen.service_namespace, seen_at, seen.service_name != '') AS service_namespace,
    argMaxIf(seen.service_name, seen_at, seen.service_name != '') AS service_name,
    argMaxIf(seen.team, seen_at, seen.team != '') AS team,
    argMaxIf(seen.application, seen_at, seen.application != '') AS application,
    argMaxIf(seen.role, seen_at, seen.role != '') AS role,
    argMaxIf(resource['cloud.provider'], seen_at, resource['cloud.provider'] != '') AS provider,
    argMaxIf(resource['cloud.region'], seen_at, resource['cloud.region'] != '') AS region,
    argMaxIf(resource['cloud.platform'], seen_at, resource['cloud.platform'] != '') AS platform,
    argMaxIf(resource['host.arch'], seen_at, resource['host.arch'] != '') AS architecture,
    if(
        (toFloat64OrZero(argMaxIf(resource['faas.max_memory'], seen_at, resource['faas.max_memory'] != '')) AS told_memory) < 1048576,
        told_memory * 1048576,
        told_memory) AS memory_bytes,
    arrayReverseSort(one -> tupleElement(one, 1), groupArray((seen_at, seen.told))) AS history,
    arrayMap(
        place -> arrayFirst(text -> text != '', arrayMap(one -> tupleElement(one, 2)[place], history)),
        arrayEnumerate({keys:Array(String)})) AS told,
    groupUniqArrayIf(toString(node), cluster = '' AND node != '') AS hosts,
    max(resource['lowtide.demo'] = 'true') AS is_demo,
    min(first_at) AS first_seen_at,
    max(seen_at) AS last_seen_at
FROM
(
    SELECT
        cluster,
        environment,
        namespace,
        workload_kind,
        workload_name,
        service_namespace,
        service_name,
        node,
        min(first_seen_at) AS first_at,
        max(last_seen_at) AS seen_at,
        argMaxMerge(attributes) AS resource,
        arrayFirst(value -> value != '', arrayMap(key -> resource[key], {team:Array(String)})) AS team,
        arrayFirst(value -> value != '', arrayMap(key -> resource[key], {application:Array(String)})) AS application,
        arrayFirst(value -> value != '', arrayMap(key -> resource[key], {role:Array(String)})) AS role,
        arrayMap(key -> toString(resource[key]), {keys:Array(String)}) AS told
    FROM workloads
    WHERE tenant = {tenant:String}
    GROUP BY cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, container, node
) AS seen
WHERE workload_name != ''
GROUP BY workload_id, cluster, namespace, workload_kind, workload_name
