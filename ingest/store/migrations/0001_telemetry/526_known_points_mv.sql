-- The one place where a metric's name is compared with all that are known: each family has a fragment of its own.
CREATE MATERIALIZED VIEW IF NOT EXISTS known_points_mv TO known_points AS
SELECT
    ${resource_names},
    scope_name,
    name,
    unit,
    kind,
    temporality,
    is_monotonic,
    attributes,
    start_ns,
    time_ns,
    value
FROM number_points
WHERE name IN (
    ${opentelemetry_metrics},
    ${kube_state_metrics},
    ${cadvisor_metrics},
    ${node_exporter_metrics},
    ${mesh_metrics},
    ${autoscaling_metrics})
    AND ${is_value}
