-- How many records of each hour (of their own time) are stored: what costs are computed from has changed if this has.
SELECT
    hour,
    sum(telemetry_volume_1h.rows) AS records
FROM telemetry_volume_1h
WHERE tenant = {tenant:String}
    AND hour >= {start:DateTime('UTC')}
    AND hour < {end:DateTime('UTC')}
GROUP BY hour
