-- Of known_points, those of kube-state-metrics, cAdvisor and the node exporter; one row each, with what their labels say in columns. Who is
-- meant is in the labels: the resource is the scraper's target. Keeps nothing: it spares what is not from there the views
-- behind it.
CREATE TABLE IF NOT EXISTS kubernetes_points
(
    tenant LowCardinality(String),
    cluster LowCardinality(String),
    fact LowCardinality(String),
    kind LowCardinality(String),
    namespace LowCardinality(String),
    name LowCardinality(String),
    uid String,
    container LowCardinality(String),
    node LowCardinality(String),
    instance LowCardinality(String),
    resource LowCardinality(String),
    attributes Map(LowCardinality(String), String),
    time_ns UInt64,
    value Float64
)
ENGINE = Null
