-- One row per workload and minute in the range, and an hour around it: how many replicas were wanted and how many were there, at most. Only
-- of workloads of which none was wanted for a minute, and one or more in another. teller: replicas (a Deployment's or StatefulSet's own, by
-- kube-state-metrics or the Collector) or knative (its autoscaler, of a revision). service: Knative's.
SELECT *
FROM
(
    SELECT
        *,
        min(desired) OVER (PARTITION BY teller, cluster, namespace, workload_kind, workload_name, service) AS least,
        max(desired) OVER (PARTITION BY teller, cluster, namespace, workload_kind, workload_name, service) AS most
    FROM
    (
        SELECT
            'replicas' AS teller,
            cluster,
            namespace,
            workload_kind,
            workload_name,
            '' AS service,
            minute,
            max(replicas_desired) AS desired,
            max(replicas_available) AS available
        FROM usage_1m
        WHERE tenant = {tenant:String}
            AND workload_kind IN ('Deployment', 'StatefulSet')
            AND pod = ''
            AND container = ''
            AND counter = ''
            AND usage_1m.minute >= {start:DateTime('UTC')} - INTERVAL 1 HOUR
            AND usage_1m.minute < {end:DateTime('UTC')} + INTERVAL 1 HOUR
        GROUP BY cluster, namespace, workload_kind, workload_name, minute
        UNION ALL
        SELECT
            'knative' AS teller,
            cluster,
            namespace,
            'Revision' AS workload_kind,
            name AS workload_name,
            autoscaling_1m.service AS service,
            minute,
            maxIf(highest, measure = 'desired_pods') AS desired,
            maxIf(highest, measure = 'pods') AS available
        FROM autoscaling_1m
        WHERE tenant = {tenant:String}
            AND autoscaler = 'knative'
            AND measure IN ('desired_pods', 'pods')
            AND autoscaling_1m.minute >= {start:DateTime('UTC')} - INTERVAL 1 HOUR
            AND autoscaling_1m.minute < {end:DateTime('UTC')} + INTERVAL 1 HOUR
        GROUP BY cluster, namespace, name, service, minute
        HAVING countIf(measure = 'desired_pods') > 0 AND countIf(measure = 'pods') > 0
    )
)
WHERE least = 0 AND most > 0
ORDER BY teller, cluster, namespace, workload_kind, workload_name, service, minute
