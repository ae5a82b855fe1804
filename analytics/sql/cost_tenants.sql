-- One row per tenant: from which hour on it has telemetry.
SELECT
    tenant,
    min(telemetry_volume_1h.hour) AS first_hour_at
FROM telemetry_volume_1h
GROUP BY tenant
ORDER BY tenant
