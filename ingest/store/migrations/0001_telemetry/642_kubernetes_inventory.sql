-- What is in each cluster, by its latest snapshot; of two of one moment, the one that was imported last.
CREATE VIEW IF NOT EXISTS kubernetes_inventory AS
SELECT *
FROM kubernetes_objects
WHERE (tenant, cluster, snapshot_id) IN
(
    SELECT
        tenant,
        cluster,
        argMax(snapshot_id, (taken_at, imported_at))
    FROM kubernetes_snapshots
    GROUP BY tenant, cluster
)
