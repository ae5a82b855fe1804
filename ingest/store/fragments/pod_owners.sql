-- One row per pod that kube-state-metrics named in the range {start} to {end}: who it belongs to, over ReplicaSet and Job to what
-- made those. A pod of nobody (a static one is its node's) belongs to itself: owner_kind is ''. ended_at: when its containers
-- were done, for good; of one that was evicted, and has none, the hour in which that was told first. A pod that came again
-- under its name has not ended. begun_at and seen_at: from the hour in which it was named first to when it was last.
SELECT
    pods.cluster AS cluster,
    pods.namespace AS namespace,
    pods.pod AS pod,
    if(makers.owner_kind != '', makers.owner_kind, pods.owner_kind) AS owner_kind,
    if(makers.owner_kind != '', makers.owner_name, pods.owner_name) AS owner_name,
    pods.ended_at AS ended_at,
    pods.begun_at AS begun_at,
    pods.seen_at AS seen_at
FROM
(
    SELECT
        cluster,
        namespace,
        name AS pod,
        argMaxIf(if(labels['owner_kind'] IN ('Node', '<none>'), '', labels['owner_kind']), facts.seen_at, fact = 'kube_pod_owner')
            AS owner_kind,
        argMaxIf(labels['owner_name'], facts.seen_at, fact = 'kube_pod_owner') AS owner_name,
        maxIf(value, fact = 'kube_pod_completion_time') AS ended_s,
        argMaxIf(labels['phase'], facts.seen_at, fact = 'kube_pod_status_phase') AS phase,
        minIf(period, fact = 'kube_pod_status_phase' AND labels['phase'] IN ('Succeeded', 'Failed')) AS over_at,
        min(period) AS begun_at,
        max(facts.seen_at) AS seen_at,
        multiIf(
            phase IN ('Pending', 'Running'), NULL,
            ended_s > 0, toDateTime(toUInt32(least(ended_s, 4294967295)), 'UTC'),
            phase IN ('Succeeded', 'Failed'), over_at,
            NULL) AS ended_at
    FROM kubernetes_facts AS facts
    WHERE tenant = {tenant:String}
        AND fact IN ('kube_pod_owner', 'kube_pod_completion_time', 'kube_pod_status_phase')
        AND period >= toStartOfHour({start:DateTime('UTC')})
        AND period < {end:DateTime('UTC')}
    GROUP BY cluster, namespace, pod
) AS pods
LEFT JOIN
(
    SELECT
        cluster,
        namespace,
        kind,
        name,
        argMax(if(labels['owner_kind'] = '<none>', '', labels['owner_kind']), seen_at) AS owner_kind,
        argMax(labels['owner_name'], seen_at) AS owner_name
    FROM kubernetes_facts
    WHERE tenant = {tenant:String}
        AND fact IN ('kube_replicaset_owner', 'kube_job_owner')
        AND period >= toStartOfHour({start:DateTime('UTC')})
        AND period < {end:DateTime('UTC')}
    GROUP BY cluster, namespace, kind, name
) AS makers
    ON pods.cluster = makers.cluster
    AND pods.namespace = makers.namespace
    AND pods.owner_kind = makers.kind
    AND pods.owner_name = makers.name
