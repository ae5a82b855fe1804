-- One row per cluster and kind of object in its latest snapshot, with what is known of that snapshot. snapshots: how many there are of the
-- cluster, this one and older ones.
SELECT
    things.cluster AS cluster,
    latest.of_it.1 AS snapshot_id,
    any(latest.of_it.2) AS file,
    any(latest.of_it.3) AS digest,
    any(latest.of_it.4) AS taken_at,
    any(latest.of_it.5) AS imported_at,
    any(latest.snapshots) AS snapshots,
    things.api_group AS api_group,
    things.kind AS kind,
    count() AS objects
FROM kubernetes_objects AS things
INNER JOIN
(
    SELECT
        cluster,
        argMax((snapshot_id, file, digest, taken_at, imported_at), (kept.taken_at, kept.imported_at)) AS of_it,
        count() AS snapshots
    FROM kubernetes_snapshots AS kept
    WHERE kept.tenant = {tenant:String}
    GROUP BY cluster
) AS latest ON things.cluster = latest.cluster AND toString(things.snapshot_id) = latest.of_it.1
WHERE things.tenant = {tenant:String}
GROUP BY cluster, snapshot_id, api_group, kind
ORDER BY cluster, api_group, kind
