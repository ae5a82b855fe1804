-- One row per pod that was there in the range: how long each step of its start took, in milliseconds, NULL where nobody told; from when and
-- until when it is known to have been there. first_run_ms: the first request after it was made, as its own spans say, else its proxy's log.
WITH
    pods_near AS
    (
        SELECT *
        FROM kubernetes_pods
        WHERE tenant = {tenant:String}
            AND day >= toDate({start:DateTime('UTC')})
            AND day <= toDate({end:DateTime('UTC')})
    ),
    events_near AS
    (
        SELECT *
        FROM pod_start_events
        WHERE tenant = {tenant:String}
            AND day >= toDate({start:DateTime('UTC')})
            AND day <= toDate({end:DateTime('UTC')})
    ),
    asked AS
    (
        SELECT
            cluster,
            namespace,
            pod,
            groupArray((source = 'access_log', first.begun_at, first.took_ms)) AS requests
        FROM pod_first_requests
        WHERE tenant = {tenant:String}
            AND day >= toDate({start:DateTime('UTC')})
            AND day <= toDate({end:DateTime('UTC')})
        GROUP BY cluster, namespace, pod
    )
SELECT
    starts.cluster AS cluster,
    starts.namespace AS namespace,
    starts.pod AS pod,
    starts.workload_kind AS workload_kind,
    starts.workload_name AS workload_name,
    starts.created_at AS created_at,
    starts.ready_at AS ready_at,
    starts.seen_at AS seen_at,
    starts.total_s * 1000 AS total_ms,
    starts.schedule_s * 1000 AS schedule_ms,
    starts.image_pull_s * 1000 AS image_pull_ms,
    starts.sidecar_s * 1000 AS sidecar_ms,
    starts.init_s * 1000 AS init_ms,
    arrayFilter(request -> request.2 >= assumeNotNull(starts.created_at), asked.requests) AS requests_of_it,
    arrayElementOrNull(arrayMap(request -> request.3, arraySort(requests_of_it)), 1) AS first_run_ms
FROM
(
    ${pod_starts(pods_near, events_near)}
) AS starts
LEFT JOIN asked ON starts.cluster = asked.cluster AND starts.namespace = asked.namespace AND starts.pod = asked.pod
WHERE isNotNull(created_at) AND workload_name != ''
