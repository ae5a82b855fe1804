-- One row per workload in the latest snapshots of clusters, and what the labels of its pods and its namespace say. {team}, {application},
-- {role}: keys of labels, pod/... or namespace/..., the first with a value counts; the template of the workload before the template of
-- what it made, and these before pods, the newest first. told: those of {keys}, in their order.
SELECT
    ${workload_id('')} AS workload_id,
    cluster,
    namespace,
    workload_kind,
    workload_name,
    argMaxIf(seen.team, seen.rank, seen.team != '') AS team,
    argMaxIf(seen.application, seen.rank, seen.application != '') AS application,
    argMaxIf(seen.role, seen.rank, seen.role != '') AS role,
    arrayReverseSort(one -> tupleElement(one, 1), groupArray((seen.rank, seen.told))) AS history,
    arrayMap(
        place -> arrayFirst(text -> text != '', arrayMap(one -> tupleElement(one, 2)[place], history)),
        arrayEnumerate({keys:Array(String)})) AS told
FROM
(
    SELECT
        things.cluster AS cluster,
        things.namespace AS namespace,
        things.workload_kind AS workload_kind,
        things.workload_name AS workload_name,
        (things.kind = things.workload_kind AND things.name = things.workload_name, things.kind != 'Pod', things.created_at) AS rank,
        multiIf(
            things.kind = 'Pod', CAST(things.labels, 'Map(String, String)'),
            things.kind = 'CronJob', JSONExtract(
                things.extract, 'spec', 'jobTemplate', 'spec', 'template', 'metadata', 'labels', 'Map(String, String)'),
            JSONExtract(things.extract, 'spec', 'template', 'metadata', 'labels', 'Map(String, String)')) AS of_pods,
        mapConcat(
            mapApply((key, text) -> (concat('pod/', key), text), of_pods),
            mapApply((key, text) -> (concat('namespace/', key), text), around.labels)) AS labels,
        arrayFirst(text -> text != '', arrayMap(key -> labels[key], {team:Array(String)})) AS team,
        arrayFirst(text -> text != '', arrayMap(key -> labels[key], {application:Array(String)})) AS application,
        arrayFirst(text -> text != '', arrayMap(key -> labels[key], {role:Array(String)})) AS role,
        arrayMap(key -> toString(labels[key]), {keys:Array(String)}) AS told
    FROM kubernetes_inventory AS things
    LEFT JOIN
    (
        SELECT cluster, name, CAST(spaces.labels, 'Map(String, String)') AS labels
        FROM kubernetes_inventory AS spaces
        WHERE tenant = {tenant:String} AND kind = 'Namespace' AND api_group = ''
    ) AS around ON things.cluster = around.cluster AND things.namespace = around.name
    WHERE tenant = {tenant:String} AND workload_name != ''
) AS seen
GROUP BY workload_id, cluster, namespace, workload_kind, workload_name
