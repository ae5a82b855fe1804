-- A kubelet writes how long a pull took as Go writes durations: 721.5ms, 13.3s, 1m2.5s.
CREATE MATERIALIZED VIEW IF NOT EXISTS pod_start_events_mv TO pod_start_events AS
SELECT
    tenant,
    cluster,
    told_namespace AS namespace,
    told_pod AS pod,
    told_uid AS uid,
    told_container AS container,
    reason,
    toDate(first_at) AS day,
    fromUnixTimestamp64Milli(toInt64(least(intDiv(time_ns, 1000000), 4102444800000)), 'UTC') AS first_at,
    if(length(pulled) = 3 AND pulled[2] != '',
        toFloat64OrZero(pulled[1]) * 60 + toFloat64OrZero(pulled[2]) / if(pulled[3] = 'ms', 1000, 1), NULL) AS pull_s,
    marked AS is_demo
FROM
(
    WITH
        ${in_resource(resource_json)}
    SELECT
        tenant,
        cluster,
        attributes['k8s.event.reason'] AS reason,
        if(attributes['k8s.namespace.name'] != '', attributes['k8s.namespace.name'], known_records.namespace) AS told_namespace,
        attribute('k8s.object.name') AS told_pod,
        attribute('k8s.object.uid') AS told_uid,
        extract(attribute('k8s.object.fieldpath'), '\\{([^}]*)\\}') AS told_container,
        attribute('lowtide.demo') = 'true' AS marked,
        if(reason = 'Pulled', extractGroups(body, ' in (?:(\\d{1,4})m)?(\\d{1,6}(?:\\.\\d{1,12})?)(ms|s)\\b'), []) AS pulled,
        time_ns
    FROM known_records
    WHERE mapContains(attributes, 'k8s.event.reason')
        AND reason IN ('Scheduled', 'Pulling', 'Pulled', 'Created', 'Started')
        AND attribute('k8s.object.kind') = 'Pod'
        AND told_pod != ''
)
