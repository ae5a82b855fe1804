-- One row per workload that answered anybody: a SERVER span is a call whose caller waits for the answer, unlike a message
-- that is consumed, and so is a request in its proxy's access log. Probes are nobody's calls.
SELECT
    ${workload_id(environment)} AS workload_id
FROM red_1m
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
    AND kind = 'Server'
    AND source != 'probe'
GROUP BY workload_id
UNION DISTINCT
SELECT
    ${workload_id(environment)} AS workload_id
FROM activity_1s
WHERE tenant = {tenant:String}
    AND second >= {start:DateTime('UTC')}
    AND second < {end:DateTime('UTC')}
    AND source = 'access_log'
GROUP BY workload_id
