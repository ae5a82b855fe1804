-- The one place where log records are looked through: each family has a fragment of its own.
CREATE MATERIALIZED VIEW IF NOT EXISTS known_records_mv TO known_records AS
SELECT
    ${resource_names},
    time_ns,
    event_name,
    body,
    attributes
FROM log_records
WHERE ${is_access_log_line}
    OR ${is_function_report}
    OR ${is_kubernetes_event}
