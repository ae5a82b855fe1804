-- Takes out a tenant's objects that belong to no snapshot and are older than a day, so that an import that is under way elsewhere
-- keeps its own.
ALTER TABLE kubernetes_objects DELETE
WHERE tenant = {tenant:String}
    AND imported_at < {before:DateTime64(3)}
    AND toString(snapshot_id) NOT IN (SELECT snapshot_id FROM kubernetes_snapshots WHERE tenant = {tenant:String})
