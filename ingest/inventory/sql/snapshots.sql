-- The snapshots of a tenant's cluster, the latest first.
SELECT
    snapshot_id,
    taken_at,
    digest
FROM kubernetes_snapshots
WHERE tenant = {tenant:String} AND cluster = {cluster:String}
ORDER BY taken_at DESC, imported_at DESC
