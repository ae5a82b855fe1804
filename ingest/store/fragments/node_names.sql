-- Which machine a row of nodes_1m is of, and what it is.
cluster,
    node,
    provider,
    region,
    zone,
    host_type
