-- One row per workload whose pods kube-state-metrics named in the range: its names, from when to when it was there, and what the
-- labels of its pods and its namespace say, as far as they are exported. {team}, {application}, {role}: keys of labels, pod/...
-- or namespace/..., the first with a value counts; of several pods the one seen last. told: those of {keys}, in their order.
SELECT
    ${workload_id('')} AS workload_id,
    cluster,
    namespace,
    workload_kind,
    workload_name,
    argMaxIf(pods.team, pods.seen_at, pods.team != '') AS team,
    argMaxIf(pods.application, pods.seen_at, pods.application != '') AS application,
    argMaxIf(pods.role, pods.seen_at, pods.role != '') AS role,
    arrayReverseSort(one -> tupleElement(one, 1), groupArray((pods.seen_at, pods.told))) AS history,
    arrayMap(
        place -> arrayFirst(text -> text != '', arrayMap(one -> tupleElement(one, 2)[place], history)),
        arrayEnumerate({keys:Array(String)})) AS told,
    min(pods.begun_at) AS first_seen_at,
    max(pods.seen_at) AS last_seen_at
FROM
(
    SELECT
        owned.cluster AS cluster,
        owned.namespace AS namespace,
        if(owned.owner_kind = '', 'Pod', owned.owner_kind) AS workload_kind,
        if(owned.owner_kind = '', owned.pod, owned.owner_name) AS workload_name,
        mapConcat(
            mapApply((key, text) -> (concat('pod/', key), text), own.labels),
            mapApply((key, text) -> (concat('namespace/', key), text), around.labels)) AS labels,
        arrayFirst(text -> text != '', arrayMap(key -> labels[key], {team:Array(String)})) AS team,
        arrayFirst(text -> text != '', arrayMap(key -> labels[key], {application:Array(String)})) AS application,
        arrayFirst(text -> text != '', arrayMap(key -> labels[key], {role:Array(String)})) AS role,
        arrayMap(key -> toString(labels[key]), {keys:Array(String)}) AS told,
        owned.begun_at AS begun_at,
        owned.seen_at AS seen_at
    FROM
    (
        ${pod_owners}
    ) AS owned
    LEFT JOIN
    (
        SELECT cluster, namespace, name, argMax(CAST(facts.labels, 'Map(String, String)'), facts.seen_at) AS labels
        FROM kubernetes_facts AS facts
        WHERE tenant = {tenant:String}
            AND fact = 'kube_pod_labels'
            AND period >= toStartOfHour({start:DateTime('UTC')})
            AND period < {end:DateTime('UTC')}
        GROUP BY cluster, namespace, name
    ) AS own ON owned.cluster = own.cluster AND owned.namespace = own.namespace AND owned.pod = own.name
    LEFT JOIN
    (
        SELECT cluster, name, argMax(CAST(facts.labels, 'Map(String, String)'), facts.seen_at) AS labels
        FROM kubernetes_facts AS facts
        WHERE tenant = {tenant:String}
            AND fact = 'kube_namespace_labels'
            AND period >= toStartOfHour({start:DateTime('UTC')})
            AND period < {end:DateTime('UTC')}
        GROUP BY cluster, name
    ) AS around ON owned.cluster = around.cluster AND owned.namespace = around.name
) AS pods
GROUP BY workload_id, cluster, namespace, workload_kind, workload_name
