-- One row per pod that was there in the range: how long each step of its start took, in milliseconds, NULL where nobody told; from when and
-- until when it is known to have been there.
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
    starts.init_s * 1000 AS init_ms
FROM
(
    ${pod_starts(pods_near, events_near)}
) AS starts
WHERE isNotNull(created_at) AND workload_name != ''
