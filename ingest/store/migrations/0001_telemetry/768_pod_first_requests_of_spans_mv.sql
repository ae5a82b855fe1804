-- A pod is of one workload, so grouping by the pod alone is enough, and every insert of spans pays for it. The run of a function, which
-- may be no SERVER span, is in no pod.
CREATE MATERIALIZED VIEW IF NOT EXISTS pod_first_requests_of_spans_mv TO pod_first_requests AS
SELECT
    tenant,
    cluster,
    any(spans.environment) AS environment,
    namespace,
    any(spans.workload_kind) AS workload_kind,
    any(spans.workload_name) AS workload_name,
    pod,
    'application' AS source,
    toDate(${seconds(start_ns)}) AS day,
    min((${time(start_ns)}, (end_ns - start_ns) / 1000000)) AS first
FROM spans
WHERE kind IN (2, 5) AND pod != '' AND spans.source = 'application'
GROUP BY tenant, cluster, namespace, pod, day
