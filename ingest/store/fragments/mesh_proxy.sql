-- The columns of mesh_proxy_columns, from rows of one proxy.
max(told.proxy_cluster) AS proxy_cluster,
    max(told.proxy_namespace) AS proxy_namespace,
    max(told.proxy_pod) AS proxy_pod,
    max(told.proxy_node) AS proxy_node,
    max(told.proxy_zone) AS proxy_zone,
    max(told.proxy_address) AS proxy_address
