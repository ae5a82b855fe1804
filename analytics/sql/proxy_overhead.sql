-- One row per workload, direction and minutes in the range: what its proxy added to requests. overheads: requests by bucket, an
-- exponential histogram of OTel's scale 4 over nanoseconds.
SELECT
    cluster,
    environment,
    namespace,
    workload_kind,
    workload_name,
    argMax(overhead.service_namespace, minute) AS service_namespace,
    argMax(overhead.service_name, minute) AS service_name,
    direction,
    sum(overhead.requests) AS requests,
    sum(overhead.duration_ms) AS duration_ms,
    sum(overhead.upstream_ms) AS upstream_ms,
    sum(overhead.overhead_ms) AS overhead_ms,
    max(overhead.overhead_ms_max) AS longest_ms,
    mapKeys(sumMap(overhead.overheads) AS buckets) AS bucket,
    mapValues(buckets) AS bucket_requests
FROM proxy_overhead_1m AS overhead
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
GROUP BY cluster, environment, namespace, workload_kind, workload_name, direction
