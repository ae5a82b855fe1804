-- nodes_1m in the range {start} to {end}, with the names of the machines that the node exporter tells of: it knows an address, and the
-- host's own name. The node of a cluster that has this address, or this name, is that node; any other is a machine outside.
SELECT
    heard.* EXCEPT (cluster, node),
    if(heard.node != '' OR names.is_node, heard.cluster, '') AS cluster,
    if(heard.node != '', heard.node, names.name) AS node
FROM nodes_1m AS heard
LEFT JOIN
(
    SELECT
        machines.cluster AS cluster,
        machines.instance AS instance,
        multiIf(addresses.node != '', addresses.node, machines.machine != '', machines.machine, machines.instance) AS name,
        addresses.node != '' OR (machines.cluster, machines.machine) IN (
            SELECT cluster, node
            FROM nodes_1m
            WHERE tenant = {tenant:String}
                AND minute >= {start:DateTime('UTC')}
                AND minute < {end:DateTime('UTC')}
                AND node != ''
        ) AS is_node
    FROM
    (
        SELECT cluster, instance, max(told.machine) AS machine
        FROM nodes_1m AS told
        WHERE tenant = {tenant:String}
            AND minute >= {start:DateTime('UTC')}
            AND minute < {end:DateTime('UTC')}
            AND node = ''
        GROUP BY cluster, instance
    ) AS machines
    LEFT JOIN
    (
        SELECT cluster, instance, argMax(told.node, minute) AS node
        FROM nodes_1m AS told
        WHERE tenant = {tenant:String}
            AND minute >= {start:DateTime('UTC')}
            AND minute < {end:DateTime('UTC')}
            AND told.node != ''
            AND instance != ''
        GROUP BY cluster, instance
    ) AS addresses ON machines.cluster = addresses.cluster AND machines.instance = addresses.instance
) AS names ON heard.cluster = names.cluster AND heard.instance = names.instance
WHERE heard.tenant = {tenant:String}
    AND heard.minute >= {start:DateTime('UTC')}
    AND heard.minute < {end:DateTime('UTC')}
    AND (heard.node != '' OR heard.instance != '')
