-- Points: their series knows the resource. Run before the series themselves go.
(tenant, fingerprint) IN (
    SELECT tenant, fingerprint FROM metric_series WHERE simpleJSONExtractString(ResourceJson, 'lowtide.demo') = 'true'
)
