-- Of a state that is one series for each value it may have (phase), only the one that holds is kept: its label is the
-- value. Everything else is kept whatever its value: none wanted is a fact, and no fact leaves the one before it standing.
-- An owner that is no controller owns nothing we cost.
CREATE MATERIALIZED VIEW IF NOT EXISTS kubernetes_facts_mv TO kubernetes_facts AS
SELECT
    tenant,
    cluster,
    fact,
    kind,
    namespace,
    name,
    uid,
    part,
    period,
    argMax(told, time_ns) AS value,
    argMax(kept, time_ns) AS labels,
    fromUnixTimestamp64Milli(toInt64(least(intDiv(max(time_ns), 1000000), 9223372036854)), 'UTC') AS seen_at
FROM
(
    SELECT
        * EXCEPT (value),
        value AS told,
        multiIf(
            startsWith(fact, 'kube_pod_container_'), concat(container, if(resource = '', '', '/'), resource),
            fact = 'kube_pod_spec_volumes_persistentvolumeclaims_info', attributes['persistentvolumeclaim'],
            fact = 'kube_service_status_load_balancer_ingress', concat(attributes['ip'], attributes['hostname']),
            resource) AS part,
        ${seconds(time_ns)} AS second,
        if(fact LIKE '%replicas%', 60, 3600) AS grain,
        toDateTime(intDiv(second, grain) * grain, 'UTC') AS period,
        mapFilter((key, text) -> text != '' AND (startsWith(key, 'label_') OR key IN (${fact_labels})), attributes) AS kept
    FROM kubernetes_points
    WHERE startsWith(fact, 'kube_')
        AND name != ''
        AND NOT (endsWith(fact, '_phase') AND value != 1)
        AND attributes['owner_is_controller'] != 'false'
)
GROUP BY
    tenant,
    cluster,
    fact,
    kind,
    namespace,
    name,
    uid,
    part,
    period
