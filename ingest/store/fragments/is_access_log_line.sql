-- Whether a log record may be a line of a proxy: of its access log as attributes, JSON or text, or of its container.
(
    event_name = 'envoy.access'
    OR mapContains(attributes, 'response_flags')
    OR (startsWith(body, '{') AND position(body, '"response_flags"') > 0)
    OR match(body, '^\\[[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\\] "')
    OR container IN ('istio-proxy', 'envoy'))
