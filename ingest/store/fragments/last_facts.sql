-- Of the facts whose names are like $1: what each was last, on each day (UTC), and the least it was.
SELECT
    tenant,
    toDate(period) AS day,
    cluster,
    namespace,
    facts.fact AS fact,
    facts.name AS name,
    facts.uid AS uid,
    facts.part AS part,
    argMax(facts.value, facts.seen_at) AS value,
    min(facts.value) AS lowest,
    argMax(facts.labels, facts.seen_at) AS labels,
    max(facts.seen_at) AS seen_at
FROM kubernetes_facts AS facts
WHERE facts.fact LIKE '$1'
GROUP BY tenant, day, cluster, namespace, fact, name, uid, part
