-- The costs that count, by hour, workload, node and line, with what the workload is called (empty for idle and system). Amounts are
-- 1e-9 US dollars: whole numbers, which add up exactly.
CREATE VIEW IF NOT EXISTS costs AS
SELECT
    borne.tenant AS tenant,
    borne.hour AS hour,
    borne.cluster AS cluster,
    names.environment AS environment,
    names.namespace AS namespace,
    names.workload_kind AS workload_kind,
    names.workload_name AS workload_name,
    borne.node AS node,
    borne.line AS line,
    borne.cpu_nano + borne.memory_nano + borne.functions_nano + borne.storage_nano AS cost_nano,
    borne.cpu_nano AS cpu_nano,
    borne.memory_nano AS memory_nano,
    borne.functions_nano AS functions_nano,
    borne.storage_nano AS storage_nano,
    borne.used_nano AS used_nano
FROM cost_hours AS borne
LEFT JOIN cost_workloads AS names
    ON borne.tenant = names.tenant
    AND toDate(borne.hour) = names.day
    AND borne.posting = names.posting
    AND borne.workload_id = names.workload_id
WHERE (borne.tenant, toDate(borne.hour), borne.posting) IN
(
    SELECT tenant, day, max(posting)
    FROM cost_days
    GROUP BY tenant, day
)
