CREATE MATERIALIZED VIEW IF NOT EXISTS mesh_points_of_numbers_mv TO mesh_points AS
SELECT
    ${resource_names},
    name,
    attributes,
    time_ns,
    value,
    kind = 'sum' AND temporality = 1 AS is_delta
FROM known_points
WHERE name IN (
    ${mesh_metrics})
