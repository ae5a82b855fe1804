-- What proxies that tell edges say of where they are, by hour: one row for each thing said. Columns are '' where it is not said.
SELECT DISTINCT
    instance,
    toStartOfHour(minute) AS hour,
    proxy_cluster AS cluster,
    proxy_namespace AS namespace,
    proxy_pod AS pod,
    proxy_node AS node,
    proxy_zone AS zone,
    proxy_address AS address
FROM mesh_edges_1m
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
