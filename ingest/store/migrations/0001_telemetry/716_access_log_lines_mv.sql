CREATE MATERIALIZED VIEW IF NOT EXISTS access_log_lines_mv TO access_log_lines AS
SELECT
    ${resource_names},
    time_ns,
    multiIf(
        event_name = 'envoy.access' OR mapContains(attributes, 'response_flags'), 'attributes',
        startsWith(body, '{') AND position(body, '"response_flags"') > 0, 'json',
        match(body, '^\\[[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\\] "'), 'text',
        'other') AS form,
    body,
    attributes
FROM known_records
WHERE form != 'other' OR container IN ('istio-proxy', 'envoy')
