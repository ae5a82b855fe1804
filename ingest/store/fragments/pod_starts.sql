-- How long the pods of $1 (as kubernetes_pods) took to start, one row each, with the events of $2 (as pod_start_events); NULL is what
-- nobody told. Whole seconds, as Kubernetes tells them, but image_pull_s: the pulls of all containers, which a kubelet makes one by one.
-- sidecar_s: from the start of the first proxy to that of the first other container, if that waited for it. init_s: from the last
-- start of a container to ready: the application's initialisation, and its readiness probe. total_s is no sum: steps overlap.
-- seen_at: when metrics told of it last.
SELECT
    tenant,
    cluster,
    namespace,
    pod,
    uid,
    workload_kind,
    workload_name,
    toDateTime64(began_at, 3, 'UTC') AS created_at,
    toDateTime64(became_ready_at, 3, 'UTC') AS ready_at,
    was_seen_at AS seen_at,
    dateDiff('millisecond', created_at, ready_at) / 1000 AS total_s,
    dateDiff('millisecond', created_at, scheduled_at) / 1000 AS schedule_s,
    pulls_s AS image_pull_s,
    if(proxy_at < application_at, dateDiff('millisecond', proxy_at, application_at) / 1000, NULL) AS sidecar_s,
    if(last_at <= ready_at, dateDiff('millisecond', last_at, ready_at) / 1000, NULL) AS init_s
FROM
(
    SELECT
        tenant,
        cluster,
        namespace,
        pod,
        uid,
        max(told_kind) AS workload_kind,
        max(told_name) AS workload_name,
        min(told_created_at) AS began_at,
        min(told_ready_at) AS became_ready_at,
        max(told_seen_at) AS was_seen_at,
        minIf(event_at, reason = 'Scheduled') AS scheduled_at,
        sum(pull_s) AS pulls_s,
        minIf(event_at, reason = 'Started' AND is_proxy) AS proxy_at,
        minIf(event_at, reason = 'Started' AND NOT is_proxy) AS application_at,
        maxIf(event_at, reason = 'Started') AS last_at
    FROM
    (
        SELECT
            tenant,
            cluster,
            namespace,
            pod,
            uid,
            workload_kind AS told_kind,
            workload_name AS told_name,
            created_at AS told_created_at,
            if(restarts = 0 AND first_ready_at >= created_at, first_ready_at, NULL) AS told_ready_at,
            seen_at AS told_seen_at,
            '' AS reason,
            false AS is_proxy,
            NULL::Nullable(DateTime64(3, 'UTC')) AS event_at,
            NULL::Nullable(Float64) AS pull_s
        FROM $1
        UNION ALL
        SELECT
            tenant,
            cluster,
            namespace,
            pod,
            uid,
            '' AS told_kind,
            '' AS told_name,
            NULL AS told_created_at,
            NULL AS told_ready_at,
            NULL AS told_seen_at,
            events.reason AS reason,
            events.container IN ('istio-proxy', 'linkerd-proxy', 'queue-proxy', 'envoy') AS is_proxy,
            min(events.first_at)::Nullable(DateTime64(3, 'UTC')) AS event_at,
            max(events.pull_s) AS pull_s
        FROM $2 AS events
        GROUP BY tenant, cluster, namespace, pod, uid, reason, events.container
    )
    GROUP BY tenant, cluster, namespace, pod, uid
)
