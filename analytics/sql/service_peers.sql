-- One row per name or address that callers in the range say they called over HTTP or RPC.
SELECT
    peer_name,
    count() AS calls
FROM half_edges
WHERE tenant = {tenant:String}
    AND Timestamp >= {start:DateTime('UTC')}
    AND Timestamp < {end:DateTime('UTC')}
    AND side = 'caller'
    AND peer_kind IN ('http', 'rpc')
    AND peer_name != ''
GROUP BY peer_name
