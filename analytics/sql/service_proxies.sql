-- One row per workload that has calls counted by a proxy or SDK of its own in the range, and by what.
SELECT DISTINCT
    if(reporter = 'destination', destination_namespace, source_namespace) AS namespace,
    if(reporter = 'destination', destination_workload, source_workload) AS workload_name,
    mesh,
    origin,
    proxy
FROM mesh_edges_1m
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
    AND reporter != 'waypoint'
