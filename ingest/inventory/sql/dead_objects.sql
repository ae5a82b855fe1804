-- How many of a tenant's objects older than a day belong to no snapshot: of imports that were broken off.
SELECT count()
FROM kubernetes_objects
WHERE tenant = {tenant:String}
    AND imported_at < {before:DateTime64(3)}
    AND toString(snapshot_id) NOT IN (SELECT snapshot_id FROM kubernetes_snapshots WHERE tenant = {tenant:String})
